package auradine

import (
	"math"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// What was kept of a machine has no login.
func TestWithoutALogin(t *testing.T) {
	m := at1500()
	m.Replies["GET mode"] = m.modeText()
	rpc := serve(t, m)
	target := wiretest.Kept(t, "/", m.Replies)
	target.SecondPort = rpc.SecondPort
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.Model != "AT1500" || id.Serial != "AU23200006" {
		t.Fatalf("%+v, %v", id, err)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || *r.Watts != 1995 || *r.TargetWatts != 2000 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Without its web server, what its mining program says is all there is, and it takes no orders.
func TestMiningProgramAlone(t *testing.T) {
	m := at1500()
	target := serve(t, m)
	nobody := wiretest.Nobody(t)
	web := target.Port
	target.Port = nobody.Port
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.Firmware != miner.Auradine || id.FirmwareVersion != "FluxOS-2023-12.27-9bf070ee" || id.MAC != "" {
		t.Fatalf("%+v, %v", id, err)
	}
	r, err := d.Read(t.Context())
	if err != nil || r.State != miner.Hashing || math.Abs(*r.HashrateTHs-109.9797671774699) > 1e-9 || r.Watts != nil || r.Uptime == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if d.Capabilities().Sleep {
		t.Error("it takes no orders")
	}
	target.Port = web
	d.client = newClient(target)
	for range webEvery {
		if r, err = d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !d.Capabilities().Sleep || r.Watts == nil {
		t.Errorf("%+v: its web server is back", r)
	}
}

// Who knows only of the program names its port.
func TestProgramAtTheNamedPort(t *testing.T) {
	target := serve(t, at1500())
	target.Port, target.SecondPort = target.SecondPort, 0
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	d := New(target)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWarmestBoard(t *testing.T) {
	var e envelope
	if err := wire.Decode([]byte(`{"DEVS":[{"Temperature":28.25},{"Temperature":30.12},{"Name":"x"}]}`), &e); err != nil {
		t.Fatal(err)
	}
	if most := warmest(e.Boards); most == nil || *most != 30.12 {
		t.Errorf("%v", most)
	}
}
