package protorig

import (
	"errors"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// What a machine does is read without a password where it asks for none; it takes no orders then.
func TestReadWithoutAPassword(t *testing.T) {
	m := rig()
	m.Open = append(m.Open, "mining", "mining/target", "telemetry", "errors")
	for name, target := range map[string]miner.Target{
		"no login": wiretest.Kept(t, "/api/v1/", m.Replies), "a login for orders": wiretest.Serve(t, m),
	} {
		target.Password = ""
		d := New(target)
		id, err := d.Identify(t.Context())
		if err != nil || id.MAC == "" {
			t.Fatalf("%s: %+v, %v", name, id, err)
		}
		if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || r.Watts == nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err == nil || !miner.NotApplied(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	closed := rig()
	target := wiretest.Serve(t, closed)
	target.Password = ""
	d := New(target)
	if _, err := d.Identify(t.Context()); !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("%v", err)
	}
}

// Without telemetry, the hash rate of now counts, and not the one since it began to mine.
func TestHashrateWithoutTelemetry(t *testing.T) {
	m := rig()
	delete(m.Replies, "telemetry")
	m.Replies["mining"] = `{"mining-status":{"status":"Mining","hashrate_ghs":141500,"average_hashrate_ghs":90000,"power_usage_watts":3447.1}}`
	d := identified(t, m)
	if r, err := d.Read(t.Context()); err != nil || *r.HashrateTHs != 141.5 || *r.Watts != 3448 {
		t.Errorf("%+v, %v", r, err)
	}
}
