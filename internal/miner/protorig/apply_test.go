package protorig

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestApply(t *testing.T) {
	const put = `PUT mining/target {"balance_bays":true,"hash_on_disconnect":false,"performance_mode":"Efficiency","power_target_watts":2500}`
	cases := map[string]struct {
		change  func(*machine)
		setting miner.Setting
		want    []string
	}{
		"sleep":                 {nil, miner.Setting{Kind: miner.Sleep}, []string{"POST mining/stop"}},
		"sleep again":           {func(m *machine) { m.asleep() }, miner.Setting{Kind: miner.Sleep}, []string{"POST mining/stop"}},
		"wake":                  {func(m *machine) { m.asleep() }, miner.Setting{Kind: miner.HashMode}, []string{"GET mining", "POST mining/start"}},
		"wake while it mines":   {nil, miner.Setting{Kind: miner.HashMode}, []string{"GET mining"}},
		"target while it mines": {nil, miner.Setting{Kind: miner.HashWatts, Watts: 2500}, []string{"GET mining/target", put, "GET mining"}},
		"target and wake": {
			func(m *machine) { m.asleep() },
			miner.Setting{Kind: miner.HashWatts, Watts: 2500}, []string{"GET mining/target", put, "GET mining", "POST mining/start"},
		},
		"target of a curtailed machine": {
			func(m *machine) { m.Replies["mining"] = miningText("Curtailed") },
			miner.Setting{Kind: miner.HashWatts, Watts: 2500}, []string{"GET mining/target", put, "GET mining", "POST mining/start"},
		},
		"less than it was told": {
			func(m *machine) { m.takes = func(watts int64) int64 { return watts - 100 } },
			miner.Setting{Kind: miner.HashWatts, Watts: 2500}, []string{"GET mining/target", put, "GET mining"},
		},
		"a target that the answer leaves out": {
			func(m *machine) { m.mute = true },
			miner.Setting{Kind: miner.HashWatts, Watts: 2500}, []string{"GET mining/target", put, "GET mining/target", "GET mining"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := rig()
			if c.change != nil {
				c.change(m)
			}
			d := identified(t, m)
			if err := d.Apply(t.Context(), c.setting); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, m.Taken()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing is sent beside the target that the machine does not say itself.
func TestTargetAlone(t *testing.T) {
	m := rig()
	m.Replies["mining/target"] = `{"power_target_watts":3000,"power_target_min_watts":400,"power_target_max_watts":3000}`
	d := identified(t, m)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 400}); err != nil {
		t.Fatal(err)
	}
	if taken := m.Taken(); taken[1] != `PUT mining/target {"power_target_watts":400}` {
		t.Errorf("sent %v", taken)
	}
}

func TestApplyErrors(t *testing.T) {
	told := miner.Setting{Kind: miner.HashWatts, Watts: 2500}
	cases := map[string]struct {
		change   func(*machine)
		setting  miner.Setting
		want     error
		commands int
	}{
		"below the range":         {nil, miner.Setting{Kind: miner.HashWatts, Watts: 1999}, miner.ErrOutOfRange, 0},
		"above the range":         {nil, miner.Setting{Kind: miner.HashWatts, Watts: 4001}, miner.ErrOutOfRange, 0},
		"no range now":            {func(m *machine) { m.Statuses["GET mining/target"] = http.StatusNoContent }, told, miner.ErrUnsupported, 0},
		"a mode":                  {nil, miner.Setting{Kind: miner.HashMode, Mode: "Efficiency"}, miner.ErrUnsupported, 0},
		"an unknown setting":      {nil, miner.Setting{Kind: "Dance"}, miner.ErrUnsupported, 0},
		"sleep refused":           {func(m *machine) { m.Statuses["mining/stop"] = http.StatusUnprocessableEntity }, miner.Setting{Kind: miner.Sleep}, miner.ErrRefused, 1},
		"sleep refused in 200":    {func(m *machine) { m.refuses("mining/stop", http.StatusOK, `{"error":{"code":"BUSY"}}`) }, miner.Setting{Kind: miner.Sleep}, miner.ErrRefused, 1},
		"target refused":          {func(m *machine) { m.Statuses["PUT mining/target"] = http.StatusUnprocessableEntity }, told, miner.ErrRefused, 1},
		"target higher than told": {func(m *machine) { m.asleep().takes = func(int64) int64 { return 3400 } }, told, miner.ErrHalfApplied, 1},
		"target kept":             {func(m *machine) { m.asleep().takes, m.mute = func(int64) int64 { return 3120 }, true }, told, miner.ErrHalfApplied, 1},
		"target never said":       {func(m *machine) { m.asleep().takes, m.mute = func(int64) int64 { return 0 }, true }, told, miner.ErrHalfApplied, 1},
		"wake refused after it":   {func(m *machine) { m.asleep().Statuses["mining/start"] = http.StatusUnprocessableEntity }, told, miner.ErrHalfApplied, 2},
		"wake refused":            {func(m *machine) { m.asleep().Statuses["mining/start"] = http.StatusUnprocessableEntity }, miner.Setting{Kind: miner.HashMode}, miner.ErrRefused, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := rig()
			d := identified(t, m)
			if c.change != nil {
				c.change(m)
			}
			err := d.Apply(t.Context(), c.setting)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if miner.NotApplied(err) == errors.Is(c.want, miner.ErrHalfApplied) {
				t.Errorf("error %v says the wrong thing of what was done", err)
			}
			if got := m.Commands(); len(got) != c.commands {
				t.Errorf("told %v", got)
			}
		})
	}
}

// What is neither yes nor no may have been done.
func TestApplyUnclear(t *testing.T) {
	for name, change := range map[string]func(*machine){
		"a page":   func(m *machine) { m.refuses("mining/stop", http.StatusOK, wiretest.Page) },
		"trouble":  func(m *machine) { m.refuses("mining/stop", http.StatusInternalServerError, `{"error":{"code":"X"}}`) },
		"hangs up": func(m *machine) { m.Before = hangUp },
	} {
		m := rig()
		d := identified(t, m)
		change(m)
		if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err == nil || miner.NotApplied(err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func hangUp(_ http.ResponseWriter, r *http.Request) bool {
	if strings.HasSuffix(r.URL.Path, "mining/stop") {
		panic(http.ErrAbortHandler)
	}
	return false
}

// A connection that the machine closed meanwhile is no failure.
func TestLostConnectionIsTriedAgain(t *testing.T) {
	m := rig()
	d := identified(t, m)
	lost := false
	m.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if first := !lost; first {
			lost = true
			return hangUp(w, r)
		}
		return false
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err != nil {
		t.Error(err)
	}
}
