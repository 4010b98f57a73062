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
	f.Add(`"None"`, `"290MHz"`, `false`, `57803.1`, `1051`, `false`, `"290MHz"`, `1188`, true)
	f.Add(`"Sleep"`, `"x"`, `"true"`, `"0.0"`, `"24"`, `true`, `"x,y"`, `"5"`, false)
	f.Add(`null`, `7`, `[]`, `-1`, `1e300`, `{}`, `7`, `0`, true)
	f.Fuzz(func(t *testing.T, mode, profile, atm, ghs, watts, psu, name, rated string, told bool) {
		rawLook := []byte(`{"config":[{"STATUS":[{"STATUS":"S"}],"CONFIG":[{"CurtailMode":` + mode + `,"Profile":` + profile +
			`,"IsAtmEnabled":` + atm + `}]}],"summary":[{"SUMMARY":[{"GHS 5s":` + ghs + `}]}],"power":[{"POWER":[{"Watts":` +
			watts + `,"PSU":` + psu + `}]}]}`)
		rawProfiles := []byte(`{"PROFILES":[{"Profile Name":` + name + `,"Watts":` + rated + `},{"Profile Name":"default","Watts":2808}]}`)
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

// FuzzJoined: a reply of any shape is taken or refused, never trusted half.
func FuzzJoined(f *testing.F) {
	f.Add([]byte(`{"config":[{"CONFIG":[{"Profile":"a"}]}],"summary":[{}],"id":1}`))
	f.Add([]byte(`{"CONFIG":[{"Profile":"a"}],"SUMMARY":{}}`))
	f.Add([]byte(`{"config":[{"STATUS":"E"}],"summary":7}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		now, ok, err := joined(in)
		if ok && err != nil {
			t.Errorf("%q is taken and refused", in)
		}
		if !ok && now.config != (config{}) {
			t.Errorf("%q is refused, and has %+v", in, now.config)
		}
	})
}
