package epic

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// orders are the commands a machine got, without the password.
func orders(m *machine) []string {
	var posts []string
	for _, line := range m.Taken() {
		if rest, ok := strings.CutPrefix(line, "POST "); ok {
			posts = append(posts, strings.NewReplacer(`,"password":"letmein"`, "", `{"param":`, "").Replace(strings.TrimSuffix(rest, "}")))
		}
	}
	return posts
}

type order struct {
	change  func(*machine)
	setting miner.Setting
	want    []string
	err     error
	sure    bool // the machine surely did not take it
}

func watts(n int64) miner.Setting { return miner.Setting{Kind: miner.HashWatts, Watts: n} }

// algo is a target of 2000 W, with the limits of throttling as they were.
const algo = `perpetualtune/algo {"algo":"PowerTune","min_throttle":1500,"target":2000,"throttle_step":100}`

func TestApply(t *testing.T) {
	cases := map[string]order{
		"sleep":        {nil, miner.Setting{Kind: miner.Sleep}, []string{`miner "Stop"`}, nil, false},
		"sleep, again": {func(m *machine) { m.asleep() }, miner.Setting{Kind: miner.Sleep}, []string{`miner "Stop"`}, nil, false},
		"wake":         {func(m *machine) { m.asleep() }, miner.Setting{Kind: miner.HashMode}, []string{`miner "Autostart"`}, nil, false},
		"wake, idle by itself": {func(m *machine) { m.asleep(); m.command = `"autostart"` }, miner.Setting{Kind: miner.HashMode},
			[]string{`miner "Autostart"`}, nil, false},
		"wake, awake":               {nil, miner.Setting{Kind: miner.HashMode}, nil, nil, false},
		"wake, starting":            {func(m *machine) { m.state = "PreInitCooldown" }, miner.Setting{Kind: miner.HashMode}, nil, nil, false},
		"trim":                      {nil, watts(2000), []string{algo}, nil, false},
		"trim, as it is":            {nil, watts(2200), nil, nil, false},
		"trim, no room to throttle": {nil, watts(1500), []string{`perpetualtune/algo {"algo":"PowerTune","target":1500}`}, nil, false},
		"trim, tuning off":          {func(m *machine) { m.running = false }, watts(2000), []string{algo, `perpetualtune true`}, nil, false},
		"trim, by TH/s": {func(m *machine) { m.algorithm = tuned("ChipTune", 90, 0, "TH/s") }, watts(2000),
			[]string{`perpetualtune/algo {"algo":"PowerTune","target":2000}`}, nil, false},
		"wake at a target": {func(m *machine) { m.asleep(); m.running = false }, watts(2000),
			[]string{algo, `perpetualtune true`, `miner "Autostart"`}, nil, false},
		"wake at its target":              {func(m *machine) { m.asleep() }, watts(2200), []string{`miner "Autostart"`}, nil, false},
		"keeps its target, and sleeps on": {func(m *machine) { m.asleep(); m.keeps = true }, watts(2000), []string{algo}, miner.ErrHalfApplied, false},
		"keeps its algorithm, and sleeps on": {func(m *machine) { m.asleep(); m.keeps = true; m.algorithm = tuned("ChipTune", 90, 0, "TH/s") }, watts(2000),
			[]string{`perpetualtune/algo {"algo":"PowerTune","target":2000}`}, miner.ErrHalfApplied, false},
		"too little":    {nil, watts(999), nil, miner.ErrOutOfRange, true},
		"too much":      {nil, watts(5001), nil, miner.ErrOutOfRange, true},
		"a mode":        {nil, miner.Setting{Kind: miner.HashMode, Mode: "x"}, nil, miner.ErrUnsupported, true},
		"another kind":  {nil, miner.Setting{Kind: "x"}, nil, miner.ErrUnsupported, true},
		"still at work": {func(m *machine) { m.pending = 0 }, miner.Setting{Kind: miner.Sleep}, []string{`miner "Stop"`}, miner.ErrBusy, true},
		"still at work on the target": {func(m *machine) { m.asleep(); m.pending = 1 }, watts(2000),
			[]string{algo, `miner "Autostart"`}, miner.ErrHalfApplied, false},
		"password changed": {func(m *machine) { m.password = "other" }, miner.Setting{Kind: miner.Sleep}, []string{`miner "Stop"`}, miner.ErrUnauthorized, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			d := identified(t, m)
			if c.change != nil {
				c.change(m)
			}
			err := d.Apply(t.Context(), c.setting)
			if !errors.Is(err, c.err) || (err != nil) != (c.err != nil) || err != nil && miner.NotApplied(err) != c.sure {
				t.Errorf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "letmein") {
				t.Errorf("error %q tells the password", err)
			}
			if diff := cmp.Diff(c.want, orders(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestApplyWithoutWatts(t *testing.T) {
	m := old()
	d := identified(t, m)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 2000}); !errors.Is(err, miner.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	if got := m.Taken(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

// A reply that is neither yes nor no is no yes, and no no; one that names the password is not shown.
func TestStrangeReplies(t *testing.T) {
	for reply, sure := range map[string]bool{
		`{}`: false, ``: false, `null`: false, `{"result":"maybe"}`: false, wiretest.Page: false,
		`{"result":false,"error":{"UnknownError":"letmein was sent"}}`: true, `{"result":false}`: true,
	} {
		m := s19xp()
		d := identified(t, m)
		m.Set("POST miner", reply)
		err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
		if err == nil || miner.NotApplied(err) != sure || strings.Contains(err.Error(), "letmein") {
			t.Errorf("%q: error %v", reply, err)
		}
	}
	m := s19xp()
	d := identified(t, m)
	m.Fail("POST miner", http.StatusInternalServerError)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err == nil || miner.NotApplied(err) {
		t.Errorf("error %v", err)
	}
}

// A command whose connection was lost may have arrived: what is said when it is sent again is no proof that
// nothing was done.
func TestLostCommand(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	lost := 0
	m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && lost == 0 {
			lost++
			m.pending = 0
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err == nil || miner.NotApplied(err) {
		t.Errorf("error %v", err)
	}
	if got := orders(m); len(got) != 2 {
		t.Errorf("sent %q", got)
	}
}

func TestHostileReplies(t *testing.T) {
	wiretest.Hostile(t, "/summary", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		m := s19xp()
		d := identified(t, m)
		return &m.Machine, func(ctx context.Context) error { return reads(ctx, d) }
	})
	wiretest.Hostile(t, "/miner", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		m := s19xp()
		d := identified(t, m)
		return &m.Machine, func(ctx context.Context) error { return d.Apply(ctx, miner.Setting{Kind: miner.Sleep}) }
	})
}

func TestRedirectIsNotFollowed(t *testing.T) {
	wiretest.Redirects(t, func(target miner.Target) wiretest.Identifies { return New(target) })
}

func TestDeadlineIsObeyed(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	wiretest.Silent(t, &m.Machine, func(ctx context.Context) error { return reads(ctx, d) })
}
