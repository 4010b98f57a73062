package avalon

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestApply(t *testing.T) {
	sleep, wake := miner.Setting{Kind: miner.Sleep}, miner.Setting{Kind: miner.HashMode}
	mode := func(name string) miner.Setting { return miner.Setting{Kind: miner.HashMode, Mode: name} }
	watts := func(n int64) miner.Setting { return miner.Setting{Kind: miner.HashWatts, Watts: n} }
	timeless := func() *machine { // it counts from its start, and has the orders all the same
		m := q()
		m.when = 986
		return m
	}
	cases := map[string]struct {
		m    *machine
		told bool
		s    miner.Setting
		want []string
		err  error
	}{
		"Q sleeps by its own clock":       {m: q(), s: sleep, want: []string{"softoff,1:1753434821"}},
		"Q sleeps by ours":                {m: timeless(), s: sleep, want: []string{"softoff,1:1800000005"}},
		"Q wakes":                         {m: q().asleepQ(), s: wake, want: []string{"softon,1:1753434821"}},
		"Q is awake":                      {m: q(), s: wake},
		"Q was told to sleep, and is not": {m: q(), told: true, s: wake, want: []string{"softon,1:1753434821"}},
		"Q in a mode":                     {m: q(), s: mode("eco"), want: []string{"workmode,set,0"}},
		"Q is in the mode":                {m: q(), s: mode("standard")},
		"Q wakes into a mode":             {m: q().asleepQ(), s: mode("super"), want: []string{"workmode,set,2", "softon,1:1753434821"}},
		"Q wakes into its mode":           {m: q().asleepQ(), s: mode("standard"), want: []string{"softon,1:1753434821"}},
		"Q by watts":                      {m: q(), s: watts(1364), want: []string{"workmode,set,0"}},
		"Q by the watts of a mode":        {m: q(), s: watts(1680), want: []string{"workmode,set,2"}},
		"Q without an order to wake":      {m: sleepless(), s: mode("eco"), want: []string{"workmode,set,0"}},
		"Q by more watts":                 {m: q(), s: watts(5000), want: []string{"workmode,set,2"}},
		"Q by too few watts":              {m: q(), s: watts(839), err: miner.ErrOutOfRange},
		"Q has no such mode":              {m: q(), s: mode("turbo"), err: miner.ErrUnsupported},
		"Q lists no modes":                {m: unlisted(), s: mode("eco"), err: miner.ErrUnsupported},
		"A13 sleeps":                      {m: a1346(), s: sleep, want: []string{"softoff"}},
		"A13 wakes":                       {m: a1346().asleep1346(), s: wake, want: []string{"reboot,0"}},
		"A13 has modes of unknown watts":  {m: a1346(), s: mode("1"), err: miner.ErrUnsupported},
		"A13 has no watts to set":         {m: a1346(), s: watts(3000), err: miner.ErrUnsupported},
		"A10 sleeps, by text":             {m: a1066(), s: sleep, want: []string{"hashpower,0"}},
		"A10 wakes":                       {m: stopped1066(), told: true, s: wake, want: []string{"reboot,0"}},
		"Nano 3S has no sleep":            {m: nano3s(), s: sleep, err: miner.ErrUnsupported},
		"Nano 3S has no wake":             {m: nano3s(), s: wake, err: miner.ErrUnsupported},
		"several modules":                 {m: rig(), s: sleep, err: miner.ErrUnsupported},
		"no setting":                      {m: q(), s: miner.Setting{}, err: miner.ErrUnsupported},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.m)
			d.toldToSleep = c.told
			err := d.Apply(t.Context(), c.s)
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			orders, asked := c.m.taken()
			if diff := cmp.Diff(c.want, orders); diff != "" {
				t.Errorf("orders (-want +got):\n%s", diff)
			}
			if c.err != nil && len(asked) > 0 {
				t.Errorf("it was asked %q for nothing", asked)
			}
		})
	}
}

// sleepless has modes to set, and nothing to sleep or wake by.
func sleepless() *machine {
	m := q().asleepQ()
	m.help = "help|workmode|worklevel|reboot|"
	return m
}

// What the machine says is what counts, and never more than it says.
func TestReplies(t *testing.T) {
	ok := `{"STATUS":[{"STATUS":"S","When":1,"Code":119,"Msg":"ASC 0 set OK","Description":"cgminer 4.11.1"}],"id":1}`
	cases := map[string]struct {
		reply string
		err   error // nil: a yes
		open  bool  // neither: it may have been done
	}{
		"set OK":               {reply: ok},
		"in text":              {reply: "STATUS=S,When=478,Code=119,Msg=ASC 0 set OK,Description=cgminer 4.11.1|"},
		"info":                 {reply: `{"STATUS":[{"STATUS":"I","Code":118,"Msg":"ASC 0 set info: success softoff:1753434821"}]}`},
		"an object":            {reply: `{"STATUS":{"STATUS":"S","Code":119,"Msg":"ASC 0 set OK"}}`},
		"failed":               {reply: `{"STATUS":[{"STATUS":"E","Code":120,"Msg":"ASC 0 set failed: softoff unknown argument"}]}`, err: miner.ErrRefused},
		"not known":            {reply: `{"STATUS":[{"STATUS":"E","Code":120,"Msg":"ASC 0 set failed: Unknown option: softoff"}]}`, err: miner.ErrUnsupported},
		"not known, in text":   {reply: "STATUS=E,When=1,Code=120,Msg=ASC 0 set failed: Unknown option: softoff,Description=cgminer 4.11.1|", err: miner.ErrUnsupported},
		"no ascset":            {reply: `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command"}]}`, err: miner.ErrUnsupported},
		"not for this address": {reply: `{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied to 'ascset' command"}]}`, err: miner.ErrUnauthorized},
		"info that says no":    {reply: `{"STATUS":[{"STATUS":"I","Code":118,"Msg":"ASC 0 set info: error:1 not support"}]}`, open: true},
		"a warning":            {reply: `{"STATUS":[{"STATUS":"W","Code":1,"Msg":"x"}]}`, open: true},
		"no STATUS":            {reply: `{"id":1}`, open: true},
		"cut short":            {reply: `{"STATUS":[`, open: true},
		"no reply":             {reply: "", open: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := a1346()
			d := identified(t, m)
			m.replies = map[string]string{"softoff": c.reply}
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			switch {
			case c.open:
				if err == nil || miner.NotApplied(err) {
					t.Errorf("error %v, want one that leaves open what was done", err)
				}
			case !errors.Is(err, c.err):
				t.Errorf("error %v, want %v", err, c.err)
			}
			if orders, _ := m.taken(); len(orders) != 1 {
				t.Errorf("orders %q", orders)
			}
			if surelyNot := miner.NotApplied(err); d.toldToSleep == surelyNot {
				t.Errorf("told to sleep: %v after %v", d.toldToSleep, err)
			}
		})
	}
}

// A mode that is refused while the machine sleeps must not keep it asleep where it would draw no more than asked.
func TestModeRefusedAsleep(t *testing.T) {
	cases := map[string]struct {
		mode   string
		refuse map[string]string
		want   []string
		err    error
		half   bool
	}{
		"the one it has is lower":  {"super", map[string]string{"workmode": "current mode 1 is caling Don't permit switch mode"}, []string{"workmode,set,2", "softon,1:1753434821"}, nil, true},
		"the one it has is higher": {"eco", map[string]string{"workmode": "current mode 1 is caling Don't permit switch mode"}, []string{"workmode,set,0"}, miner.ErrRefused, false},
		"then the wake is refused": {"eco", map[string]string{"softon": "x"}, []string{"workmode,set,0", "softon,1:1753434821"}, nil, true},
		"only the wake is refused": {"standard", map[string]string{"softon": "x"}, []string{"softon,1:1753434821"}, miner.ErrRefused, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := q().asleepQ()
			d := identified(t, m)
			m.refuse = c.refuse
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode, Mode: c.mode})
			if c.half != errors.Is(err, miner.ErrHalfApplied) || c.half == miner.NotApplied(err) || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("error %v", err)
			}
			if orders, _ := m.taken(); !cmp.Equal(c.want, orders) {
				t.Errorf("orders %q, want %q", orders, c.want)
			}
		})
	}
}

// A mode that was ordered counts before the machine is in it.
func TestOrderedModeCounts(t *testing.T) {
	m := q()
	d := identified(t, m)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode, Mode: "super"}); err != nil {
		t.Fatal(err)
	}
	if r := read(t, d); *r.Ceiling != 1680 || *r.Effective != 1300 || r.Mode != "standard" {
		t.Errorf("ceiling %d W, in force %d W, mode %s", *r.Ceiling, *r.Effective, r.Mode)
	}
	m.with("WORKMODE[1]", "WORKMODE[2]").with("MPO[1300]", "MPO[1600]").with("1306 2350 1364", "1601 2350 1674")
	if r := read(t, d); *r.Ceiling != 1680 || *r.Effective != 1600 {
		t.Errorf("ceiling %d W, in force %d W", *r.Ceiling, *r.Effective)
	}
	m.with("WORKMODE[2]", "WORKMODE[0]").with("MPO[1600]", "MPO[800]").with("1601 2350 1674", "800 2350 838")
	if r := read(t, d); *r.Ceiling != 840 {
		t.Errorf("a person chose less, and the ceiling is %d W", *r.Ceiling)
	}
}

func TestApplyUnreachable(t *testing.T) {
	for _, kind := range []miner.Kind{miner.Sleep, miner.HashMode} {
		d := identified(t, q())
		d.client.address = closed(t)
		if err := d.Apply(t.Context(), miner.Setting{Kind: kind}); !errors.Is(err, miner.ErrUnreachable) || d.toldToSleep {
			t.Errorf("%s: error %v, told to sleep %v", kind, err, d.toldToSleep)
		}
	}
}

// closed is a port where nobody listens.
func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return netip.MustParseAddrPort(listener.Addr().String())
}
