package braiins

import (
	"context"
	"math"
	"net"
	"net/netip"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// What stands before a machine may log in by itself, and what was kept of one has no login: neither asks for a token.
func TestWithoutALogin(t *testing.T) {
	whole := s19xp()
	delete(whole.Replies, "version")
	target := wiretest.Kept(t, "/api/v1/", whole.Replies)
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.Model != "Antminer S19 XP" || id.MAC == "" {
		t.Fatalf("%+v, %v", id, err)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || *r.Watts != 2472 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParts(t *testing.T) {
	m := s19xp()
	m.Replies["miner/details"] = `{"miner_identity":{"miner_model":"Antminer S19 XP"},"bos_version":{"current":"x"},"status":"MINER_STATUS_NORMAL"}`
	m.Replies["miner/stats"] = `{"miner_stats":{"real_hashrate":{"last_5s":null,"last_15s":{"gigahash_per_second":120500},"last_1m":{"gigahash_per_second":1}}}}`
	delete(m.Replies, "cooling/state")
	m.Replies["miner/hw/hashboards"] = `{"hashboards":[{"board_temp":{"degree_c":61},"highest_chip_temp":{"temperature":{"degree_c":74.5}}},{"board_temp":{"degree_c":70}}]}`
	d := identified(t, m)
	var r miner.Reading
	var err error
	for range 2 * slowEvery {
		if r, err = d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r.State != miner.Hashing || *r.HashrateTHs != 120.5 || r.TemperatureC == nil || *r.TemperatureC != 74.5 {
		t.Errorf("%+v", r)
	}
	m.Replies["miner/details"] = `{"miner_identity":{"miner_model":"Antminer S19 XP"},"bos_version":{"current":"x"}}`
	for text, ths := range map[string]float64{`{"terahash_per_second":95.5}`: 95.5, `{"megahash_per_second":95500000}`: 95.5, `{"gigahash_per_second":null}`: 0} {
		m.Replies["miner/stats"] = `{"miner_stats":{"real_hashrate":{"last_1m":` + text + `}}}`
		r, err := d.Read(t.Context())
		if err != nil || (r.State == miner.Hashing) != (ths > 0) || (r.HashrateTHs != nil) != (ths > 0) || ths > 0 && math.Abs(*r.HashrateTHs-ths) > 1e-9 {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
	delete(m.Replies, "miner/hw/hashboards")
	if err := d.readTemperature(t.Context()); err != nil || d.temperature != nil {
		t.Errorf("%v, %v", d.temperature, err)
	}
}

// The releases of 2018 were a bmminer.
func TestReleasesOf2018(t *testing.T) {
	m := s9(t)
	m.replies = map[string]string{
		"version": `{"STATUS":[{"STATUS":"S","Code":22,"Msg":"BMMiner versions","Description":"bmminer bOS_am1-s9-20181127"}],` +
			`"VERSION":[{"BMMiner":"bOS_am1-s9-20181127","API":"3.1","Miner":"bOS_am1-s9-20181127","Type":"braiins-am1-s9"}],"id":1}`,
		"summary": `{"STATUS":[{"STATUS":"S","Code":11,"Msg":"Summary","Description":"bmminer bOS_am1-s9-20181127"}],"SUMMARY":[{"Elapsed":77,"GHS 5s":"13500.5","GHS av":1}],"id":1}`,
	}
	target := m.serve(t)
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.Model != "braiins-am1-s9" || id.FirmwareVersion != "bOS_am1-s9-20181127" {
		t.Fatalf("%+v, %v", id, err)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || math.Abs(*r.HashrateTHs-13.5005) > 1e-9 || r.Uptime == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// Some programs hang up at what they don't know.
func TestOlderThatHangsUp(t *testing.T) {
	m := s9(t)
	m.replies["devdetails"], m.replies["tunerstatus"], m.replies["temps"] = "", "", ""
	d := New(m.serve(t))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || r.Watts != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// Who knows only of the program names its port.
func TestProgramAtTheNamedPort(t *testing.T) {
	m := s9(t)
	target := m.serve(t)
	target.Port, target.SecondPort = target.SecondPort, 0
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	d := New(target)
	if id, err := d.Identify(t.Context()); err != nil || id.Model != "Bitmain Antminer S9" {
		t.Fatalf("%+v, %v", id, err)
	}
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || *r.Watts != 1419 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Who maps the pages alone leaves the program at its own port.
func TestProgramAtItsOwnPort(t *testing.T) {
	m := s9(t)
	target := m.serve(t)
	program := netip.AddrPortFrom(target.Address, uint16(target.SecondPort)).String()
	target.SecondPort = 0
	own := netip.AddrPortFrom(target.Address, 4028).String()
	ctx := wire.WithDialer(t.Context(), func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == own {
			address = program
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	if err := Probe(ctx, target); err != nil {
		t.Error(err)
	}
	d := New(target)
	if id, err := d.Identify(ctx); err != nil || id.Model != "Bitmain Antminer S9" {
		t.Fatalf("%+v, %v", id, err)
	}
	if r, err := d.Read(ctx); err != nil || r.State != miner.Hashing || *r.Watts != 1419 {
		t.Errorf("%+v, %v", r, err)
	}
}
