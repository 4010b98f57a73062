package luxos

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	m := s19kpro()
	f.Add([]byte(m.reply(request{Command: "summary+power+config"})), []byte(m.reply(request{Command: "profiles"})), true)
	asleep(m)
	f.Add([]byte(m.reply(request{Command: "summary+power+config"})), []byte(`{"PROFILES":{"Profile Name":"x","Watts":"5"}}`), false)
	f.Add([]byte(`{"CONFIG":[{"CurtailMode":1}],"POWER":{"Watts":-5},"SUMMARY":[[]]}`), []byte(`{"STATUS":"E"}`), false)
	f.Add([]byte(`{"config":[{"STATUS":"E"}],"summary":7}`), []byte(`null`), true)
	f.Fuzz(func(t *testing.T, rawLook, rawProfiles []byte, told bool) {
		now, _, _ := joined(rawLook)
		var p reply
		_ = wire.Decode(rawProfiles, &p)
		d := &Driver{profiles: p.Profiles, toldToSleep: told, last: now.config}
		r := d.reading(now)
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts < 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
			t.Errorf("ceiling %v under the target in force %d W", r.Ceiling, *r.Effective)
		}
		if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil) {
			t.Error("a sleeping machine has a target in force")
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") {
			t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
		}
		d.learn()
		checkModes(t, d.capabilities.Modes)
	})
}

func checkModes(t *testing.T, modes []miner.Mode) {
	t.Helper()
	if !slices.IsSortedFunc(modes, func(a, b miner.Mode) int { return cmp.Compare(a.Watts, b.Watts) }) {
		t.Errorf("modes out of order: %v", modes)
	}
	seen := map[string]bool{}
	for _, m := range modes {
		if m.Watts <= 0 || m.THs < 0 || strings.ContainsAny(m.Name, ",\x00\n") || seen[m.Name] {
			t.Errorf("mode %+v", m)
		}
		seen[m.Name] = true
	}
}

// FuzzStatus: STATUS comes as a list, an object or a letter, and never says yes by accident.
func FuzzStatus(f *testing.F) {
	for _, seed := range []string{
		`{"STATUS":[{"STATUS":"S","Code":316}]}`, `{"STATUS":{"STATUS":"E","Code":"402"}}`, `{"STATUS":"S"}`, `{"STATUS":[]}`,
		`{"STATUS":[["S"]]}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r reply
		_ = wire.Decode(in, &r)
		if r.Status.ok() && r.Status.no() {
			t.Error("yes and no at once")
		}
		if r.Status.ok() && !strings.ContainsAny(string(in), "SI\\") {
			t.Errorf("%q says yes", in)
		}
		if len(r.Status.message()) > 256 {
			t.Errorf("message of %d bytes", len(r.Status.message()))
		}
	})
}
