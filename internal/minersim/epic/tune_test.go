package epic_test

import (
	"fmt"
	"testing"
	"time"
)

type option struct {
	Algorithm string
	Min, Max  int
}

func (r *rig) options() map[string]option {
	r.t.Helper()
	var cap struct{ PerpetualTune []option }
	r.get("capabilities", &cap)
	all := map[string]option{}
	for _, o := range cap.PerpetualTune {
		all[o.Algorithm] = o
	}
	return all
}

// TestWattsAreHeldWhereThereIsAnAlgorithm, by the name that the version has for it; the other name
// is another, unknown one.
func TestWattsAreHeldWhereThereIsAnAlgorithm(t *testing.T) {
	for device, names := range map[int][2]string{newest: {"PowerTune", "Power"}, middle: {"Power", "PowerTune"}} {
		t.Run(names[0], func(t *testing.T) {
			r := start(t, device)
			o, ok := r.options()[names[0]]
			if !ok || o.Min != 1000 || float64(o.Max) < 1.2*r.nominal()/1.03 {
				t.Fatalf("%+v", r.options())
			}
			r.refused("perpetualtune/algo", fmt.Sprintf(`{"algo":%q,"target":2000}`, names[1]), `{"UnknownError":"invalid param"}`)
			r.ok("perpetualtune/algo", fmt.Sprintf(`{"algo":%q,"target":2000,"min_throttle":1000,"throttle_step":100}`, names[0]))
			if s := r.after(10 * time.Second); s.Status.State != "AdjustingClockVoltage" {
				t.Errorf("%+v", s.Status)
			}
			s := r.after(time.Minute)
			if a := s.Tune.Algorithm[names[0]]; a.Target != 2000 || a.Unit != "W" || a.Optimized || s.Status.State != "Mining" || !near(s.Supply.Watts, 2000, 3) || !near(r.d.Watts(), 2000, 2) {
				t.Errorf("%+v", s)
			}
			if s := r.after(11 * time.Minute); !s.Tune.Algorithm[names[0]].Optimized {
				t.Errorf("%+v", s.Tune)
			}
			for told, want := range map[int]int{1: o.Min, 100_000: o.Max} {
				r.ok("perpetualtune/algo", fmt.Sprintf(`{"algo":%q,"target":%d}`, names[0], told))
				if s := r.after(2 * time.Minute); s.Tune.Algorithm[names[0]].Target != want || !near(r.d.Watts(), float64(want), 2) {
					t.Errorf("told %d: %+v, %g W", told, s.Tune, r.d.Watts())
				}
			}
		})
	}
}

func TestTheOldestHoldsNoWatts(t *testing.T) {
	r := start(t, oldest)
	if all := r.options(); len(all) != 3 || all["VoltageOptimizer"].Max != 294 {
		t.Errorf("%+v", all)
	}
	for _, name := range []string{"Power", "PowerTune"} {
		r.refused("perpetualtune/algo", fmt.Sprintf(`{"algo":%q,"target":2000}`, name), `{"UnknownError":"invalid param"}`)
	}
	var tune struct {
		Current    string `json:"Current Algorithm"`
		Algorithms map[string]any
	}
	if r.get("perpetualtune", &tune); tune.Current != "VoltageOptimizer" || len(tune.Algorithms) != 3 {
		t.Errorf("%+v", tune)
	}
}

// TestATargetInHashrate moves the watts, too, as far as the supply goes.
func TestATargetInHashrate(t *testing.T) {
	r := start(t, newest)
	r.ok("perpetualtune", "true")
	r.ok("perpetualtune/algo", `{"algo":"ChipTune","target":100}`)
	s := r.after(2 * time.Minute)
	if !near(s.tera(), 100, 2) || s.Tune.Algorithm["ChipTune"].Target != 100 || r.d.Watts() > 0.5*r.nominal() {
		t.Errorf("%+v at %g W", s, r.d.Watts())
	}
	r.ok("perpetualtune/algo", `{"algo":"ChipTune","target":400}`)
	if r.after(2 * time.Minute); !near(r.d.Watts(), 1.3*r.nominal(), 2) {
		t.Errorf("%g W of %g W", r.d.Watts(), r.nominal())
	}
}

func TestATargetToldAsleepWaitsForTheStart(t *testing.T) {
	r := start(t, newest)
	r.ok("miner", `"Stop"`)
	r.clock.Advance(10 * time.Second)
	r.ok("perpetualtune/algo", `{"algo":"PowerTune","target":1500}`)
	if s := r.after(time.Minute); s.Status.State != "Idling" || s.Supply.Watts > 60 {
		t.Errorf("%+v", s)
	}
	r.ok("miner", `"Autostart"`)
	r.clock.Advance(20 * time.Second)
	r.ok("perpetualtune/algo", `{"algo":"PowerTune","target":2500}`)
	if s := r.after(20 * time.Second); s.Status.State != "Initializing" || s.Supply.Watts > 60 {
		t.Errorf("told on its way up: %+v", s)
	}
	if s := r.after(66 * time.Second); s.Status.State != "Mining" || !near(r.d.Watts(), 2500, 2) {
		t.Errorf("%+v at %g W", s.Status, r.d.Watts())
	}
}

// TestClocksByHand end perpetual tuning; a limit holds only what would climb over it.
func TestClocksByHand(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.ok("perpetualtune", "false")
	if s := r.after(time.Minute); s.Tune.Running || !near(r.d.Watts(), full, 2) {
		t.Errorf("%+v at %g W of %g W", s.Tune, r.d.Watts(), full)
	}
	r.ok("tune/clock/all", "300")
	r.refused("tune/voltage", "13000", `{"LastCmdStillPending":"Tune"}`)
	s := r.after(time.Minute)
	low := r.d.Watts()
	if !near(s.HBs[0].Clock, 300, 2) || low > 0.5*full {
		t.Errorf("%+v at %g W", s.HBs, low)
	}
	r.ok("tune/withpowerlimit", fmt.Sprintf(`{"clks":"585","voltage":"13500","power_limit":"%d"}`, 2000))
	if s := r.after(time.Minute); !near(r.d.Watts(), 2000, 2) || s.Supply.Target != 13500 {
		t.Errorf("%g W, %+v", r.d.Watts(), s.Supply)
	}
	r.ok("tune/withpowerlimit", `{"clks":"350","voltage":"13500","power_limit":"100"}`)
	if s := r.after(time.Minute); !near(s.HBs[0].Clock, 350, 2) {
		t.Errorf("a lower clock is taken whatever the limit: %+v", s.HBs)
	}
	r.ok("tune", `{"clks":"5000","voltage":"99000"}`)
	if s := r.after(time.Minute); s.Supply.Target != 15000 || !near(r.d.Watts(), 1.3*r.nominal(), 2) {
		t.Errorf("%+v", s.Supply)
	}
	r.ok("tune/clock/all", "1")
	if s := r.after(time.Minute); !near(s.HBs[0].Clock, 50, 5) {
		t.Errorf("%+v", s.HBs)
	}
	r.ok("perpetualtune/algo", `{"algo":"PowerTune","target":2000}`)
	if s := r.after(time.Minute); !s.Tune.Running || !near(r.d.Watts(), 2000, 2) {
		t.Errorf("%+v at %g W", s.Tune, r.d.Watts())
	}
	r.refused("tune", `{"clks":"fast","voltage":"1"}`, `{"UnknownError":"invalid param"}`)
	r.refused("tune", `{"voltage":"1"}`, `{"UnknownError":"invalid param"}`)
	r.ok("defaultconfig", "null")
	if s := r.after(time.Minute); !s.Tune.Running || !near(r.d.Watts(), full, 2) {
		t.Errorf("%+v at %g W", s.Tune, r.d.Watts())
	}
}

func TestABoardThatIsOff(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.ok("boardenable", `[{"Index":0,"Data":false}]`)
	s := r.after(2 * time.Minute)
	if len(s.HBs) != 2 || s.HBs[0].Index != 1 || s.HBStatus[0].Enabled || !s.HBStatus[1].Enabled || !near(r.d.Watts(), full*2/3, 4) || !near(s.tera(), r.d.Truth().TeraHashes, 1) {
		t.Errorf("%+v at %g W", s, r.d.Watts())
	}
	r.ok("boardenable", `[{"Index":0,"Data":true}]`)
	if s := r.after(2 * time.Minute); len(s.HBs) != 3 || !near(r.d.Watts(), full, 2) {
		t.Errorf("%g W of %g W", r.d.Watts(), full)
	}
}
