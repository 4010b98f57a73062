package whatsminer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestApply(t *testing.T) {
	limited := func(watts string) *machine {
		return m30s().with("status", `"power_limit_set":""`, `"power_limit_set":"`+watts+`"`)
	}
	cases := map[string]struct {
		machine *machine
		setting miner.Setting
		want    []string
	}{
		"sleep":                    {m30s(), miner.Setting{Kind: miner.Sleep}, []string{"power_off true"}},
		"sleep once more":          {m30s().asleep(), miner.Setting{Kind: miner.Sleep}, []string{"power_off true"}},
		"wake as it was":           {m30s().asleep(), miner.Setting{Kind: miner.HashMode}, []string{"power_on"}},
		"awake, as it was":         {m30s(), miner.Setting{Kind: miner.HashMode}, nil},
		"no word of being off":     {m30s().with("status", `"mineroff":"false",`, ``), miner.Setting{Kind: miner.HashMode}, []string{"power_on"}},
		"watts while awake":        {m30s(), miner.Setting{Kind: miner.HashWatts, Watts: 3000}, []string{"adjust_power_limit 3000"}},
		"the watts in force":       {m30s(), miner.Setting{Kind: miner.HashWatts, Watts: 3600}, nil},
		"the watts that are set":   {limited("3000"), miner.Setting{Kind: miner.HashWatts, Watts: 3000}, nil},
		"other watts than are set": {limited("3000"), miner.Setting{Kind: miner.HashWatts, Watts: 3600}, []string{"adjust_power_limit 3600"}},
		"watts while asleep: limit first": {
			m30s().asleep(), miner.Setting{Kind: miner.HashWatts, Watts: 3000}, []string{"adjust_power_limit 3000", "power_on"},
		},
		"the watts it has, asleep": {m30s().asleep(), miner.Setting{Kind: miner.HashWatts, Watts: 3600}, []string{"power_on"}},
		"asleep since before it was met": {
			m30s().asleep().with("summary", `"Power Limit":3600`, `"Power Limit":0`), miner.Setting{Kind: miner.HashWatts, Watts: 1000},
			[]string{"adjust_power_limit 1000", "power_on"},
		},
		"v3: sleep":          {m60s(), miner.Setting{Kind: miner.Sleep}, []string{"set.miner.service stop"}},
		"v3: wake":           {m60s().asleep(), miner.Setting{Kind: miner.HashMode}, []string{"set.miner.service start"}},
		"v3: awake":          {m60s(), miner.Setting{Kind: miner.HashMode}, nil},
		"v3: watts":          {m60s(), miner.Setting{Kind: miner.HashWatts, Watts: 3000}, []string{"set.miner.power_limit 3000"}},
		"v3: watts, asleep":  {m60s().asleep(), miner.Setting{Kind: miner.HashWatts, Watts: 3000}, []string{"set.miner.power_limit 3000", "set.miner.service start"}},
		"replies in PKCS #7": {func() *machine { m := m30s(); m.pkcs7 = true; return m }(), miner.Setting{Kind: miner.Sleep}, []string{"power_off true"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := identified(t, c.machine).Apply(t.Context(), c.setting); err != nil {
				t.Fatal(err)
			}
			orders, _ := c.machine.taken()
			if diff := cmp.Diff(c.want, orders); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A machine that was told to sleep may not say so yet: a wake is sent all the same.
func TestWakeAfterSleep(t *testing.T) {
	m := m30s()
	d := identified(t, m)
	for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashMode}, {Kind: miner.HashMode}} {
		if err := d.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	orders, _ := m.taken()
	if diff := cmp.Diff([]string{"power_off true", "power_on"}, orders); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A limit that was told is what a reading says was told, where the firmware does not.
func TestToldLimit(t *testing.T) {
	m := m30s()
	d := identified(t, m)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 3000}); err != nil {
		t.Fatal(err)
	}
	r, err := d.Read(t.Context())
	if err != nil || r.TargetWatts == nil || *r.TargetWatts != 3000 || *r.Effective != 3600 || *r.Ceiling != 3600 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Tokens are scarce: one serves until the machine forgets it.
func TestTokens(t *testing.T) {
	m := m30s()
	d := identified(t, m)
	tell := func() error { return d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}) }
	for range 3 {
		if err := tell(); err != nil {
			t.Fatal(err)
		}
	}
	if m.tokens != 1 {
		t.Errorf("%d tokens for 3 orders", m.tokens)
	}
	m.forgets = 1
	if err := tell(); err != nil || m.tokens != 2 {
		t.Errorf("%d tokens after one was forgotten, %v", m.tokens, err)
	}
	m.forgets = 100
	err := tell()
	if !errors.Is(err, miner.ErrUnauthorized) || m.tokens != 3 || m.forgets != 98 {
		t.Errorf("error %v after %d tokens and %d refusals", err, m.tokens, 100-m.forgets)
	}
	if strings.Contains(err.Error(), d.plain.token.sign) {
		t.Errorf("error %q tells the token", err)
	}
	if orders, _ := m.taken(); len(orders) != 4 {
		t.Errorf("orders %v", orders)
	}
}

func TestRefusals(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
		says   string
	}{
		"no such order":              {func(m *machine) { m.refuse["power_off"] = v2no(14, "invalid cmd") }, miner.ErrUnsupported, "invalid cmd"},
		"no JSON: wrong key":         {func(m *machine) { m.password = "another" }, miner.ErrUnauthorized, "password"},
		"API switch off":             {func(m *machine) { m.refuse["power_off"] = v2no(45, "permission denied") }, miner.ErrLocked, "WhatsMinerTool"},
		"API switch, token":          {func(m *machine) { m.refuse["get_token"] = v2no(45, "permission denied") }, miner.ErrLocked, "WhatsMinerTool"},
		"a no":                       {func(m *machine) { m.refuse["power_off"] = v2no(132, "command error") }, miner.ErrRefused, "command error"},
		"a no, sealed":               {func(m *machine) { m.sealed["power_off"] = v2no(132, "command error") }, miner.ErrRefused, "command error"},
		"a no of no code":            {func(m *machine) { m.refuse["power_off"] = `{"STATUS":"E","Msg":"can't access write cmd"}` }, miner.ErrRefused, "can't access"},
		"tokens used up":             {func(m *machine) { m.refuse["get_token"] = v2no(136, "over max token") }, miner.ErrBusy, "in use"},
		"clients":                    {func(m *machine) { m.refuse["get_token"] = v2no(132, "Over max connect") }, miner.ErrBusy, "max connect"},
		"base64":                     {func(m *machine) { m.refuse["power_off"] = v2no(137, "base64 decode err") }, miner.ErrRefused, "base64"},
		"a list for a status":        {func(m *machine) { m.refuse["power_off"] = `{"STATUS":[{"STATUS":"E","Code":45,"Msg":"no"}]}` }, miner.ErrUnauthorized, "45"},
		"a question that is no JSON": {func(m *machine) { m.refuse["get_token"] = v2no(23, "invalid json") }, miner.ErrRefused, "invalid json"},
		"a salt that is none": {func(m *machine) {
			m.refuse["get_token"] = `{"STATUS":"S","Code":134,"Msg":{"time":"1","salt":"a$b","newsalt":"c"}}`
		}, miner.ErrRefused, "salt"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := m30s()
			c.change(m)
			err := identified(t, m).Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			checkRefusal(t, err, c.want, c.says)
		})
	}
}

func checkRefusal(t *testing.T, err, want error, says string) {
	t.Helper()
	if !errors.Is(err, want) || !miner.NotApplied(err) || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want %v with %q", err, want, says)
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("error %q tells a secret", err)
	}
}

func TestRefusalsV3(t *testing.T) {
	no := func(code, message string) func(*machine) {
		return func(m *machine) {
			m.refuse["set.miner.service"] = `{"code":` + code + `,"when":1,"msg":"` + message + `","desc":""}`
		}
	}
	cases := map[string]struct {
		change func(*machine)
		want   error
		says   string
	}{
		"API switch off":  {no("-4", "no permission for write command"), miner.ErrLocked, "WhatsMinerTool"},
		"no such order":   {no("-2", "invalid command"), miner.ErrUnsupported, "invalid command"},
		"wrong password":  {func(m *machine) { m.password = "another" }, miner.ErrUnauthorized, "password"},
		"a no":            {no("-1", "fail"), miner.ErrRefused, "fail"},
		"a bad item":      {no("-3", "item"), miner.ErrRefused, "item"},
		"no memory":       {no("-5", "oom"), miner.ErrRefused, "oom"},
		"no salt":         {func(m *machine) { m.frames["get.device.info salt"] = `{}` }, miner.ErrRefused, "salt"},
		"salt is refused": {func(m *machine) { delete(m.frames, "get.device.info salt") }, miner.ErrUnsupported, "invalid command"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := m60s()
			c.change(m)
			d := identified(t, m)
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			checkRefusal(t, err, c.want, c.says)
			if name == "wrong password" && !strings.Contains(err.Error(), "invalid token …") {
				t.Errorf("error %q tells the token", err)
			}
			// Whatever it says, API v2 is not tried instead, and no switch is opened.
			if orders, commands := m.taken(); len(orders) > 0 || slices.Contains(commands, "get_token") {
				t.Errorf("sent %v, %v", orders, commands)
			}
		})
	}
}

// What gets no clear answer may have been done.
func TestUnclearReplies(t *testing.T) {
	v2 := func(change func(*machine)) *machine {
		m := m30s()
		change(m)
		return m
	}
	v3 := func(reply string) *machine {
		m := m60s()
		m.refuse["set.miner.service"] = reply
		m.silent["set.miner.service"] = reply == ""
		return m
	}
	cases := map[string]*machine{
		"no answer":       v2(func(m *machine) { m.silent["power_off"] = true }),
		"unreadable":      v2(func(m *machine) { m.refuse["power_off"] = `{"enc":"AAAAAAAAAAAAAAAAAAAAAA=="}` }),
		"sealed, no JSON": v2(func(m *machine) { m.sealed["power_off"] = `hello` }),
		"a warning":       v2(func(m *machine) { m.refuse["power_off"] = `{"STATUS":"W","Code":132,"Msg":"hm"}` }),
		"no status":       v2(func(m *machine) { m.refuse["power_off"] = `{}` }),
		"yes, and a code that says no": v2(func(m *machine) {
			m.refuse["power_off"] = `{"STATUS":"S","Code":135,"Msg":"ok"}`
		}),
		"no, and a code that says yes":         v2(func(m *machine) { m.refuse["power_off"] = `{"STATUS":"E","Code":131,"Msg":"ok"}` }),
		"sealed, no, and a code that says yes": v2(func(m *machine) { m.sealed["power_off"] = `{"STATUS":"E","Code":131,"Msg":"ok"}` }),
		"v3: no answer":                        v3(""),
		"v3: no code":                          v3(`{"msg":"ok"}`),
		"v3: a code that no manual names":      v3(`{"code":7,"msg":"ok"}`),
		"v3: a code that is no number":         v3(`{"code":"zero","msg":"ok"}`),
		"v3: a code between two":               v3(`{"code":-0.5,"msg":"invalid token"}`),
		"v3: a list where a reply belongs":     v3(`[0]`),
	}
	for name, m := range cases {
		t.Run(name, func(t *testing.T) {
			err := identified(t, m).Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			if err == nil || miner.NotApplied(err) {
				t.Errorf("error %v reads as surely not applied, or as done", err)
			}
			if _, commands := m.taken(); strings.Count(strings.Join(commands, " "), "power_off") > 1 {
				t.Errorf("sent again: %v", commands)
			}
		})
	}
}

// Nothing of these is sent.
func TestNotSent(t *testing.T) {
	cases := map[string]struct {
		machine *machine
		setting miner.Setting
		want    error
		says    string
	}{
		"below the range": {m30s(), miner.Setting{Kind: miner.HashWatts, Watts: 2199}, miner.ErrOutOfRange, "2200 to 3600 W"},
		"above the range": {m60s(), miner.Setting{Kind: miner.HashWatts, Watts: 3601}, miner.ErrOutOfRange, "2200 to 3600 W"},
		"the reset, where no range is known": {
			m30s().asleep().with("summary", `"Power Limit":3600`, `"Power Limit":0`), miner.Setting{Kind: miner.HashWatts, Watts: 99_999},
			miner.ErrOutOfRange, "1 to 99998 W",
		},
		"a mode":         {m30s(), miner.Setting{Kind: miner.HashMode, Mode: "low"}, miner.ErrUnsupported, "power limit"},
		"unknown kind":   {m30s(), miner.Setting{Kind: "Dance"}, miner.ErrUnsupported, "Dance"},
		"API v1":         {oldMachine(), miner.Setting{Kind: miner.Sleep}, miner.ErrUnsupported, "only read"},
		"API v1.4, wake": {oldMachine().with("get_version", "20210109", "20220919"), miner.Setting{Kind: miner.HashMode}, miner.ErrUnsupported, "only read"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.machine)
			checkRefusal(t, d.Apply(t.Context(), c.setting), c.want, c.says)
			if orders, commands := c.machine.taken(); len(orders)+len(commands) > 0 {
				t.Errorf("sent %v, %v", orders, commands)
			}
		})
	}
}

func TestHalfway(t *testing.T) {
	m := m30s().asleep()
	m.refuse["power_on"] = v2no(132, "not now")
	err := identified(t, m).Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 3000})
	if !errors.Is(err, miner.ErrHalfApplied) || miner.NotApplied(err) || !strings.Contains(err.Error(), "not now") {
		t.Errorf("error %v is no ErrHalfApplied", err)
	}
	if orders, _ := m.taken(); !cmp.Equal(orders, []string{"adjust_power_limit 3000"}) {
		t.Errorf("orders %v", orders)
	}
	m = m30s().asleep()
	m.refuse["power_on"] = v2no(132, "not now")
	err = identified(t, m).Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 3600})
	if !errors.Is(err, miner.ErrRefused) || !miner.NotApplied(err) {
		t.Errorf("nothing was changed: %v", err)
	}
}

// A limit that is refused while the machine sleeps must not wake it at a higher one.
func TestLimitRefusedAsleep(t *testing.T) {
	set := func(watts string) *machine {
		m := m30s().asleep().with("status", `"power_limit_set":""`, `"power_limit_set":"`+watts+`"`)
		m.refuse["adjust_power_limit"] = v2no(132, "not now")
		return m
	}
	awake := m30s()
	awake.refuse["adjust_power_limit"] = v2no(132, "not now")
	lower := m30s().with("summary", `"Power Limit":3600`, `"Power Limit":2500`)
	lower.refuse["adjust_power_limit"] = v2no(132, "not now")
	unknown := set("").with("summary", `"Power Limit":3600`, `"Power Limit":0`)
	silent := set("2500").with("summary", `"Power Limit":3600`, `"Power Limit":2500`)
	silent.silent["adjust_power_limit"] = true
	delete(silent.refuse, "adjust_power_limit")
	cases := map[string]struct {
		machine *machine
		want    error
		orders  []string
	}{
		"higher":         {set("3300").with("summary", `"Power Limit":3600`, `"Power Limit":3300`), miner.ErrRefused, nil},
		"unknown":        {unknown, miner.ErrRefused, nil},
		"lower":          {set("2500").with("summary", `"Power Limit":3600`, `"Power Limit":2500`), miner.ErrHalfApplied, []string{"power_on"}},
		"awake":          {awake, miner.ErrRefused, nil},
		"awake, lower":   {lower, miner.ErrRefused, nil},
		"no word at all": {silent, nil, []string{"adjust_power_limit 3000"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.machine)
			d.most = 3600
			d.learn(look{})
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 3000})
			if err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && miner.NotApplied(err) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if orders, _ := c.machine.taken(); !cmp.Equal(c.orders, orders) {
				t.Errorf("orders %v", orders)
			}
		})
	}
}

// A limit that may have been taken counts.
func TestToldCountsWhenUnclear(t *testing.T) {
	m := m30s()
	m.silent["adjust_power_limit"] = true
	d := identified(t, m)
	_ = d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 3000})
	if d.told == nil || *d.told != 3000 {
		t.Errorf("told %v", d.told)
	}
	m.refuse["adjust_power_limit"] = v2no(132, "not now")
	_ = d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 2500})
	if *d.told != 3000 {
		t.Errorf("told %v after a refusal", *d.told)
	}
}

// What API v3 says of a token that another password made is a wrong password, not a plain no.
func TestV3WordsOfAWrongPassword(t *testing.T) {
	for message, want := range map[string]error{
		"account or password is wrong": miner.ErrUnauthorized, "check token failed": miner.ErrUnauthorized,
		"Password error": miner.ErrUnauthorized, "command failed": miner.ErrRefused,
	} {
		r := &refusal{code: v3Fail, message: message}
		if r.judgeV3(); !errors.Is(r, want) || !miner.NotApplied(r) {
			t.Errorf("%q: %v", message, r)
		}
	}
	locked := &refusal{code: v3Denied, message: "no permission for this account"}
	if locked.judgeV3(); !errors.Is(locked, miner.ErrLocked) {
		t.Error(locked)
	}
}
