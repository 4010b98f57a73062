package luxos

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestApply(t *testing.T) {
	cases := map[string]struct {
		asleep  bool
		setting miner.Setting
		want    []string
	}{
		"sleep":            {false, miner.Setting{Kind: miner.Sleep}, []string{"curtail sleep", "logoff"}},
		"wake as it was":   {true, miner.Setting{Kind: miner.HashMode}, []string{"curtail wakeup", "logoff"}},
		"awake, as it was": {false, miner.Setting{Kind: miner.HashMode}, nil},
		"profile while awake": {
			false, miner.Setting{Kind: miner.HashMode, Mode: "default"}, []string{"profileset default", "logoff"},
		},
		"profile while asleep: profile first": {
			true, miner.Setting{Kind: miner.HashMode, Mode: "default"},
			[]string{"profileset default", "curtail wakeup", "logoff"},
		},
		"the profile it has": {true, miner.Setting{Kind: miner.HashMode, Mode: "290MHz"}, []string{"curtail wakeup", "logoff"}},
		"watts: the highest profile under them": {
			false, miner.Setting{Kind: miner.HashWatts, Watts: 2807}, []string{"profileset 390MHz", "logoff"},
		},
		"watts: exactly a profile's": {
			false, miner.Setting{Kind: miner.HashWatts, Watts: 2808}, []string{"profileset default", "logoff"},
		},
		"watts: more than any": {
			true, miner.Setting{Kind: miner.HashWatts, Watts: 9000}, []string{"profileset 690MHz", "curtail wakeup", "logoff"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			if c.asleep {
				asleep(m)
			}
			d := identified(t, m)
			if err := d.Apply(t.Context(), c.setting); err != nil {
				t.Fatal(err)
			}
			orders, _ := m.taken()
			if diff := cmp.Diff(c.want, orders); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.held() != "" {
				t.Error("the session is still held")
			}
		})
	}
}

// What was commanded last is part of what a reading means.
func TestReadAfterApply(t *testing.T) {
	m := s19kpro()
	d := identified(t, m)
	state := func(s miner.Setting) miner.Reading {
		t.Helper()
		if err := d.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		r, err := d.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	// The machine of this test does nothing: commanded and effective are two numbers.
	if r := state(miner.Setting{Kind: miner.HashMode, Mode: "default"}); *r.TargetWatts != 2808 || *r.Effective != 1188 {
		t.Errorf("target %d W, effective %d W", *r.TargetWatts, *r.Effective)
	}
	m.with("config", `"CurtailMode":"None"`, `"CurtailMode":"Sleep"`)
	if r := state(miner.Setting{Kind: miner.Sleep}); r.State != miner.Stopping {
		t.Errorf("hashing after it was told to sleep: %s", r.State)
	}
	if r := state(miner.Setting{Kind: miner.HashMode}); r.State != miner.Hashing {
		t.Errorf("hashing after it was told to wake: %s", r.State)
	}
}

// Nothing of these is even logged on for.
func TestApplyRefuses(t *testing.T) {
	cases := map[string]struct {
		change  func(*machine)
		setting miner.Setting
		want    error
		says    string
	}{
		"below the lowest":   {nil, miner.Setting{Kind: miner.HashWatts, Watts: 1187}, miner.ErrOutOfRange, "1188 to 3611 W"},
		"no such profile":    {nil, miner.Setting{Kind: miner.HashMode, Mode: "turbo"}, miner.ErrUnsupported, "turbo"},
		"a board for a name": {nil, miner.Setting{Kind: miner.HashMode, Mode: "2"}, miner.ErrUnsupported, `"2"`},
		"unknown kind":       {nil, miner.Setting{Kind: "Dance"}, miner.ErrUnsupported, "Dance"},
		"ATM owns profiles": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":true`)
		}, miner.Setting{Kind: miner.HashMode, Mode: "390MHz"}, miner.ErrUnsupported, "ATM"},
		"ATM owns watts": {func(m *machine) {
			m.with("config", `"IsAtmEnabled":false`, `"IsAtmEnabled":true`)
		}, miner.Setting{Kind: miner.HashWatts, Watts: 2000}, miner.ErrUnsupported, "ATM"},
		"no profiles": {func(m *machine) {
			delete(m.bodies, "profiles")
		}, miner.Setting{Kind: miner.HashWatts, Watts: 2000}, miner.ErrUnsupported, "HashWatts"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			m.with("profiles", `"Profile Name":"690MHz"`, `"Profile Name":"2","Watts":1500,"Hashrate":70},{"Profile Name":"690MHz"`)
			if c.change != nil {
				c.change(m)
			}
			d := identified(t, m)
			err := d.Apply(t.Context(), c.setting)
			if !errors.Is(err, c.want) || !miner.NotApplied(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.says)
			}
			if _, commands := m.taken(); strings.Contains(strings.Join(commands, " "), "logon") {
				t.Errorf("sent %v", commands)
			}
		})
	}
}

// Somebody else's session is backed away from, and left as it is.
func TestBusy(t *testing.T) {
	cases := map[string]func(*machine){
		"by code": func(m *machine) { m.session = "somebody" },
		"by code alone": func(m *machine) {
			m.session = "somebody"
			m.refuse["logon"] = `{"STATUS":"E","Code":402,"Msg":"No"}`
		},
		"by words": func(m *machine) {
			m.session = "somebody"
			m.refuse["logon"] = `{"STATUS":"E","Code":14,"Msg":"Session in use"}`
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			change(m)
			d := identified(t, m)
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			if !errors.Is(err, miner.ErrBusy) || !miner.NotApplied(err) {
				t.Errorf("error %v is no ErrBusy", err)
			}
			if after, ok := miner.RetryAfter(err); !ok || after != time.Minute {
				t.Errorf("ask again in %s, %v", after, ok)
			}
			orders, commands := m.taken()
			if len(orders) != 0 || m.held() != "somebody" {
				t.Errorf("orders %v; session %q", orders, m.held())
			}
			if diff := cmp.Diff([]string{"config", "logon"}, commands); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A session that was ended is forgotten: it is not ended again when somebody else holds one.
func TestEndedSessionIsForgotten(t *testing.T) {
	m := s19kpro()
	d := identified(t, m)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err != nil {
		t.Fatal(err)
	}
	m.taken()
	m.mu.Lock()
	m.session = "somebody"
	m.mu.Unlock()
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); !errors.Is(err, miner.ErrBusy) {
		t.Errorf("error %v is no ErrBusy", err)
	}
	if _, commands := m.taken(); !cmp.Equal([]string{"config", "logon"}, commands) {
		t.Errorf("sent %v", commands)
	}
}

// Our session may be taken from us between logging on and acting.
func TestBusyInTheMiddle(t *testing.T) {
	m := s19kpro()
	m.refuse["curtail sleep"] = `{"STATUS":"E","Code":402,"Msg":"No"}`
	err := identified(t, m).Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
	if !errors.Is(err, miner.ErrBusy) || !miner.NotApplied(err) {
		t.Errorf("error %v is no ErrBusy", err)
	}
}

// The session ends also when the order fails, and is not told in the error.
func TestLogoffOnError(t *testing.T) {
	const no = `{"STATUS":"E","Code":399,"Msg":"Not now"}`
	cases := map[string]struct {
		asleep     bool
		refuse     []string
		setting    miner.Setting
		want       error
		notApplied bool
		orders     []string
	}{
		"sleep refused": {
			false, []string{"curtail sleep"}, miner.Setting{Kind: miner.Sleep}, miner.ErrRefused, true, []string{"logoff"},
		},
		"profile refused awake": {
			false, []string{"profileset"}, miner.Setting{Kind: miner.HashMode, Mode: "390MHz"}, miner.ErrRefused, true, []string{"logoff"},
		},
		"wake refused after the profile was set": {
			true, []string{"curtail wakeup"}, miner.Setting{Kind: miner.HashMode, Mode: "390MHz"}, miner.ErrHalfApplied, false,
			[]string{"profileset 390MHz", "logoff"},
		},
		"wake refused": {
			true, []string{"curtail wakeup"}, miner.Setting{Kind: miner.HashMode}, miner.ErrRefused, true, []string{"logoff"},
		},
		"higher profile refused asleep: wakes in the lower one": {
			true, []string{"profileset"}, miner.Setting{Kind: miner.HashMode, Mode: "default"}, miner.ErrHalfApplied, false,
			[]string{"curtail wakeup", "logoff"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			if c.asleep {
				asleep(m)
			}
			for _, order := range c.refuse {
				m.refuse[order] = no
			}
			d := identified(t, m)
			err := d.Apply(t.Context(), c.setting)
			if !errors.Is(err, c.want) || miner.NotApplied(err) != c.notApplied {
				t.Errorf("error %v, want %v; NotApplied %v", err, c.want, miner.NotApplied(err))
			}
			if err != nil && strings.Contains(err.Error(), "yJN2nlj") {
				t.Errorf("error %q tells the session", err)
			}
			orders, _ := m.taken()
			if diff := cmp.Diff(c.orders, orders); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.held() != "" {
				t.Error("the session is still held")
			}
		})
	}
}

// A lower profile that is refused while the machine sleeps must not wake it in the higher one.
func TestLowerProfileRefusedAsleep(t *testing.T) {
	m := asleep(s19kpro().with("config", `"Profile":"290MHz"`, `"Profile":"default"`))
	m.refuse["profileset"] = `{"STATUS":"E","Code":399,"Msg":"Not now"}`
	d := identified(t, m)
	err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode, Mode: "390MHz"})
	if !errors.Is(err, miner.ErrRefused) {
		t.Errorf("error %v is no ErrRefused", err)
	}
	orders, _ := m.taken()
	if diff := cmp.Diff([]string{"logoff"}, orders); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A machine that understood another profile than was meant is not woken in it.
func TestOtherProfileSet(t *testing.T) {
	m := asleep(s19kpro())
	m.refuse["profileset"] = `{"STATUS":"S","Code":321,"Msg":"Profile Set"}],"PROFILE":[{"Board":0,"Profile":"default"}`
	d := identified(t, m)
	err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode, Mode: "390MHz"})
	if !errors.Is(err, miner.ErrHalfApplied) || miner.NotApplied(err) {
		t.Errorf("error %v is no ErrHalfApplied", err)
	}
	if orders, _ := m.taken(); !cmp.Equal([]string{"logoff"}, orders) {
		t.Errorf("orders %v", orders)
	}
}

// A reply that is neither yes nor no leaves open what the machine did.
func TestUnclearReply(t *testing.T) {
	for name, status := range map[string]string{"a warning": `{"STATUS":"W","Msg":"hm"}`, "no status": ``} {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			m.refuse["curtail sleep"] = status
			d := identified(t, m)
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			if err == nil || miner.NotApplied(err) {
				t.Errorf("error %v reads as surely not applied, or as done", err)
			}
		})
	}
}

// The order's own time being over is no reason to keep the session.
func TestLogoffAfterCancel(t *testing.T) {
	m := s19kpro()
	d := identified(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	sid, err := d.logon(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	d.logoff(ctx, sid)
	if m.held() != "" {
		t.Error("the session is still held")
	}
}

// A session of our own whose logoff was lost is ended before the next order, and only that one.
func TestLeftoverSession(t *testing.T) {
	m := s19kpro()
	d := identified(t, m)
	m.silent["logoff"] = true
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err != nil {
		t.Fatal(err)
	}
	if m.held() == "" {
		t.Fatal("the logoff was not lost")
	}
	m.mu.Lock()
	m.silent["logoff"] = false
	m.mu.Unlock()
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err != nil {
		t.Fatal(err)
	}
	orders, _ := m.taken()
	if diff := cmp.Diff([]string{"curtail sleep", "logoff", "curtail sleep", "logoff"}, orders); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
