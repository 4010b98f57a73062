package auradine

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// orders are the modes a machine was told since the last call.
func orders(m *machine) []string {
	var posts []string
	for _, line := range m.Taken() {
		if rest, ok := strings.CutPrefix(line, "POST mode "); ok {
			posts = append(posts, strings.Replace(rest, `"command":"mode",`, "", 1))
		}
	}
	return posts
}

func TestApply(t *testing.T) {
	watts := func(n int64) miner.Setting { return miner.Setting{Kind: miner.HashWatts, Watts: n} }
	const custom1800, off = `{"mode":"custom","power":1800,"tune":"power"}`, `{"sleep":"off"}`
	cases := map[string]struct {
		change  func(*machine)
		setting miner.Setting
		want    []string
		err     error
		sure    bool // the machine surely did not take it
	}{
		"sleep":            {nil, miner.Setting{Kind: miner.Sleep}, []string{`{"sleep":"on"}`}, nil, false},
		"wake":             {func(m *machine) { m.asleep() }, miner.Setting{Kind: miner.HashMode}, []string{off}, nil, false},
		"trim":             {nil, watts(1800), []string{custom1800}, nil, false},
		"wake at a target": {func(m *machine) { m.asleep() }, watts(1800), []string{custom1800, off}, nil, false},
		// Nobody says whether the watts or the hash rate that stand there are tuned for.
		"trim, as it is":                {func(m *machine) { m.power = "1800" }, watts(1800), []string{custom1800}, nil, false},
		"keeps its mode, and sleeps on": {func(m *machine) { m.asleep(); m.keeps = true }, watts(1800), []string{custom1800}, miner.ErrHalfApplied, false},
		"too little":                    {nil, watts(1725), nil, miner.ErrOutOfRange, true},
		"too much":                      {nil, watts(3453), nil, miner.ErrOutOfRange, true},
		"a mode":                        {nil, miner.Setting{Kind: miner.HashMode, Mode: "eco"}, nil, miner.ErrUnsupported, true},
		"another kind":                  {nil, miner.Setting{Kind: "x"}, nil, miner.ErrUnsupported, true},
		"refused": {func(m *machine) {
			m.Replies["POST mode"] = `{"STATUS":[{"STATUS":"E","Code":541,"Msg":"Invalid power"}]}`
		}, watts(1800),
			[]string{custom1800}, miner.ErrRefused, true},
		"neither yes nor no, and done": {func(m *machine) { m.power, m.Replies["POST mode"] = "1800", `{}` }, watts(1800), []string{custom1800}, nil, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := at1500()
			d := identified(t, m)
			if c.change != nil {
				c.change(m)
			}
			err := d.Apply(t.Context(), c.setting)
			if !errors.Is(err, c.err) || (err != nil) != (c.err != nil) || err != nil && miner.NotApplied(err) != c.sure {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(c.want, orders(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What was set from here and stands is not set again.
func TestApplyAgain(t *testing.T) {
	m := at1500()
	d := identified(t, m)
	for i, want := range [][]string{{`{"mode":"custom","power":1800,"tune":"power"}`}, nil} {
		if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 1800}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, orders(m)); diff != "" {
			t.Errorf("%d (-want +got):\n%s", i, diff)
		}
	}
	m.asleep()
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 1800}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{"sleep":"off"}`}, orders(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A reply that is neither yes nor no is no yes, and no no.
func TestStrangeReplies(t *testing.T) {
	for _, reply := range []string{`{}`, ``, `null`, `{"STATUS":"W"}`, `<html>`} {
		m := at1500()
		d := identified(t, m)
		m.Set("POST mode", reply)
		for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashWatts, Watts: 1800}} {
			if err := d.Apply(t.Context(), s); err == nil || miner.NotApplied(err) {
				t.Errorf("%q: error %v", reply, err)
			}
		}
	}
	m := at1500()
	d := identified(t, m)
	m.Fail("POST mode", http.StatusInternalServerError)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err == nil || miner.NotApplied(err) {
		t.Errorf("error %v", err)
	}
}

// A mode that is taken with no reply is one that was taken.
func TestModeWithoutAReply(t *testing.T) {
	m := at1500().asleep()
	d := identified(t, m)
	m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && m.mode == custom && m.power != "1800" {
			m.power = "1800"
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 1800}); err != nil {
		t.Error(err)
	}
	if m.sleep != `"off"` {
		t.Error("it sleeps on")
	}
}

func TestApplyWithoutARange(t *testing.T) {
	m := at1500()
	m.Statuses["psu"] = http.StatusNotFound
	d := identified(t, m)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 1800}); !errors.Is(err, miner.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	if got := m.Taken(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}
