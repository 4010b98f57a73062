package sealminer

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

const limit2500 = `ascset powerlimit,{"value":"2500"}`

func TestApply(t *testing.T) {
	sleep, wake := miner.Setting{Kind: miner.Sleep}, miner.Setting{Kind: miner.HashMode}
	watts := func(n int64) miner.Setting { return miner.Setting{Kind: miner.HashWatts, Watts: n} }
	reboots := []string{"POST login.php", "POST reboot.php"}
	cases := map[string]struct {
		m      *machine
		told   bool
		change func(*machine)
		s      miner.Setting
		orders []string
		pages  []string
		err    error
	}{
		"sleep":                         {m: a2(), s: sleep, orders: []string{"ascset suspend"}},
		"wake":                          {m: a2().asleep(), s: wake, orders: []string{"restart"}},
		"it is awake":                   {m: a2(), s: wake},
		"told to sleep, and not yet":    {m: a2(), told: true, s: wake, orders: []string{"restart"}},
		"a limit":                       {m: a2(), s: watts(2500), orders: []string{limit2500}, pages: reboots},
		"a limit wakes":                 {m: a2().asleep(), s: watts(2500), orders: []string{limit2500}, pages: reboots},
		"the limit it has":              {m: a2(), s: watts(3500)},
		"the limit it has wakes":        {m: a2().asleep(), s: watts(3500), orders: []string{"restart"}},
		"too little":                    {m: a2(), s: watts(2099), err: miner.ErrOutOfRange},
		"too much":                      {m: a2(), s: watts(3501), err: miner.ErrOutOfRange},
		"a machine without limits":      {m: a2().with(`"Power Limit":3500`, `"Power Limit":0`), s: watts(2500), err: miner.ErrUnsupported},
		"a mode":                        {m: a2(), s: miner.Setting{Kind: miner.HashMode, Mode: "eco"}, err: miner.ErrUnsupported},
		"no setting":                    {m: a2(), s: miner.Setting{}, err: miner.ErrUnsupported},
		"the limit is refused":          {m: a2(), s: watts(2500), change: func(m *machine) { m.refuse["powerlimit"] = "no" }, orders: []string{limit2500}, pages: reboots[:1], err: miner.ErrRefused},
		"refused asleep, and higher":    {m: a2().asleep(), s: watts(2500), change: func(m *machine) { m.refuse["powerlimit"] = "no" }, orders: []string{limit2500}, pages: reboots[:1], err: miner.ErrRefused},
		"refused asleep, and lower":     {m: a2().asleep(), s: watts(2500), change: lowered, orders: []string{limit2500, "restart"}, pages: reboots[:1], err: miner.ErrHalfApplied},
		"it can't be rebooted":          {m: a2(), s: watts(2500), change: func(m *machine) { m.pages.Fail("POST reboot.php", 500) }, orders: []string{limit2500}, pages: reboots, err: miner.ErrHalfApplied},
		"it takes no POST":              {m: a2(), s: watts(2500), change: getOnly, orders: []string{limit2500}, pages: append(reboots, "GET reboot.php")},
		"another password for the page": {m: a2(), s: watts(2500), change: func(m *machine) { m.pages.Admit = wrong }, pages: reboots[:1], err: miner.ErrUnauthorized},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.m)
			if d.toldToSleep = c.told; c.change != nil {
				c.change(c.m)
			}
			err := d.Apply(t.Context(), c.s)
			if !errors.Is(err, c.err) || errors.Is(err, miner.ErrHalfApplied) && miner.NotApplied(err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("it tells the password: %v", err)
			}
			orders, pages := c.m.taken()
			if diff := cmp.Diff(c.orders, orders); diff != "" {
				t.Errorf("orders (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.pages, pages); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
}

// lowered has a limit that is lower than the one it was met with, and takes no other.
func lowered(m *machine) {
	m.with(`"Power Limit":3500`, `"Power Limit":2450`)
	m.refuse["powerlimit"] = "no"
}

func getOnly(m *machine) {
	m.pages.Fail("POST reboot.php", http.StatusMethodNotAllowed)
	m.pages.Set("GET reboot.php", `{}`)
}

func wrong([]byte, string) (int, string) { return http.StatusOK, `{"state":2}` }

func TestReplies(t *testing.T) {
	cases := map[string]struct {
		setting miner.Kind
		name    string
		reply   string
		err     error
		open    bool
	}{
		"set OK":                  {miner.Sleep, "suspend", `{"STATUS":[{"STATUS":"S","Code":119,"Msg":"ASC 0 set OK"}]}`, nil, false},
		"refused":                 {miner.Sleep, "suspend", `{"STATUS":[{"STATUS":"E","Code":120,"Msg":"no"}]}`, miner.ErrRefused, false},
		"not known":               {miner.Sleep, "suspend", `{"STATUS":[{"STATUS":"E","Code":120,"Msg":"Unknown option: suspend"}]}`, miner.ErrUnsupported, false},
		"denied":                  {miner.Sleep, "suspend", `{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied"}]}`, miner.ErrUnauthorized, false},
		"no STATUS":               {miner.Sleep, "suspend", `{"id":1}`, nil, true},
		"a warning":               {miner.Sleep, "suspend", `{"STATUS":[{"STATUS":"W"}]}`, nil, true},
		"cut short":               {miner.Sleep, "suspend", `{"STATUS":`, nil, true},
		"no reply":                {miner.Sleep, "suspend", "", nil, true},
		"restart, JSON":           {miner.HashMode, "restart", `{"STATUS":"RESTART","id":1}`, nil, false},
		"restart, by name":        {miner.HashMode, "restart", `{"RESTART"}`, nil, false},
		"restart, a word":         {miner.HashMode, "restart", "RESTART", nil, false},
		"restart, as other words": {miner.HashMode, "restart", `{"STATUS":[{"STATUS":"S","Msg":"ok"}]}`, nil, false},
		"restart, not done":       {miner.HashMode, "restart", `{"STATUS":[{"STATUS":"E","Msg":"RESTART"}]}`, miner.ErrRefused, false},
		"restart denied":          {miner.HashMode, "restart", `{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied"}]}`, miner.ErrUnauthorized, false},
		"restart unknown":         {miner.HashMode, "restart", `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}]}`, miner.ErrUnsupported, false},
		"restart, nothing":        {miner.HashMode, "restart", "", nil, true},
		"restart, half a word":    {miner.HashMode, "restart", "REST", nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := a2()
			if c.setting == miner.HashMode {
				m.asleep()
			}
			d := identified(t, m)
			m.replies[c.name] = c.reply
			err := d.Apply(t.Context(), miner.Setting{Kind: c.setting})
			if c.open != (err != nil && !miner.NotApplied(err)) || !c.open && !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if wantTold := c.setting == miner.Sleep && !miner.NotApplied(err); d.toldToSleep != wantTold {
				t.Errorf("told to sleep: %v after %v", d.toldToSleep, err)
			}
		})
	}
}

// A limit that waits for its boot does not count as in force, and the boot is tried again.
func TestLimitWaitsForItsBoot(t *testing.T) {
	m := a2()
	d := identified(t, m)
	m.pages.Fail("POST reboot.php", http.StatusInternalServerError)
	setting := miner.Setting{Kind: miner.HashWatts, Watts: 2500}
	if err := d.Apply(t.Context(), setting); !errors.Is(err, miner.ErrHalfApplied) {
		t.Fatalf("error %v", err)
	}
	m.with(`"Power Limit":3500`, `"Power Limit":2500`)
	if r := read(t, d); *r.Ceiling != 3500 {
		t.Errorf("before its boot it counts %d W", *r.Ceiling)
	}
	m.pages.Fail("POST reboot.php", 0)
	if err := d.Apply(t.Context(), setting); err != nil {
		t.Fatal(err)
	}
	orders, pages := m.taken()
	if !cmp.Equal([]string{limit2500, limit2500}, orders) || len(pages) < 3 || pages[len(pages)-1] != "POST reboot.php" {
		t.Errorf("orders %q, pages %q", orders, pages)
	}
	if r := read(t, d); *r.Ceiling != 2500 {
		t.Errorf("after its boot it counts %d W", *r.Ceiling)
	}
	m.with(`"Power Limit":2500`, `"Power Limit":2200`)
	if r := read(t, d); *r.Ceiling != 2200 {
		t.Errorf("a person chose less, and it counts %d W", *r.Ceiling)
	}
}

// A limit that is commanded counts before the machine names it.
func TestOrderedLimitCounts(t *testing.T) {
	m := a2().with(`"Power Limit":3500`, `"Power Limit":3000`)
	d := identified(t, m)
	d.most = 3500
	d.learn(look{})
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 3400}); err != nil {
		t.Fatal(err)
	}
	if r := read(t, d); *r.Ceiling != 3400 || *r.Effective != 3000 {
		t.Errorf("counts %d W, in force %d W", *r.Ceiling, *r.Effective)
	}
}

func TestApplyUnreachable(t *testing.T) {
	for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashMode}, {Kind: miner.HashWatts, Watts: 2500}} {
		d := identified(t, a2())
		nobody := wiretest.Nobody(t)
		d.client.address = netip.AddrPortFrom(nobody.Address, uint16(nobody.Port))
		if err := d.Apply(t.Context(), s); !errors.Is(err, miner.ErrUnreachable) || d.toldToSleep || d.told != nil {
			t.Errorf("%s: error %v", s.Kind, err)
		}
	}
}
