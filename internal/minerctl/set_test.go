package minerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

func estimated(r miner.Reading) miner.Reading { r.WattsSource = miner.Estimate; return r }

func wattless(r miner.Reading) miner.Reading { r.Watts, r.WattsSource = nil, ""; return r }

func targetless(r miner.Reading) miner.Reading { r.Effective, r.TargetWatts = nil, nil; return r }

// always reads the same.
func always(r miner.Reading) func(time.Duration) (miner.Reading, error) {
	return func(time.Duration) (miner.Reading, error) { return r, nil }
}

// then reads something else after a while.
func then(first miner.Reading, after time.Duration, r miner.Reading) func(time.Duration) (miner.Reading, error) {
	return func(d time.Duration) (miner.Reading, error) {
		if d < after {
			return first, nil
		}
		return r, nil
	}
}

var asleep, hashes = reading(miner.Sleeping, 25, 0, 3500), reading(miner.Hashing, 3500, 200, 3500)

// TestItHappenedOnlyWhereItIsRead goes through what machines say and do: an order happened where watts, or what stands in
// for them, are as commanded, and stay so.
func TestItHappenedOnlyWhereItIsRead(t *testing.T) {
	sleep, wake, to2500 := Order{Sleep: true}, Order{Wake: true}, Order{Watts: 2500}
	at2500 := reading(miner.Hashing, 2510, 160, 2500)
	lies := hashes
	lies.Effective = new(int64(2500))
	cases := map[string]struct {
		order  Order
		before miner.Reading // where it is none, it hashes
		after  func(time.Duration) (miner.Reading, error)
		why    string // empty: it happened
		by     string
	}{
		"asleep":                         {order: sleep, after: then(hashes, 5*time.Second, asleep), by: "watts measured by its supply"},
		"asleep by a meter":              {order: sleep, after: always(miner.Reading{State: miner.Sleeping, Watts: new(int64(20)), WattsSource: miner.Meter}), by: "watts by a meter"},
		"asleep at 0 W":                  {order: sleep, after: always(reading(miner.Sleeping, 0, 0, 0))},
		"says yes and hashes":            {order: sleep, after: always(hashes), why: "it is Hashing"},
		"says it sleeps and draws":       {order: sleep, after: always(reading(miner.Sleeping, 3500, 0, 0)), why: "sleeps and draws 3500 W"},
		"says it sleeps and hashes":      {order: sleep, after: always(reading(miner.Sleeping, 25, 190, 0)), why: "sleeps and hashes at 190 TH/s"},
		"asleep, by no watts":            {order: sleep, after: always(wattless(asleep)), by: "as it names no watts"},
		"asleep, by nothing":             {order: sleep, after: always(miner.Reading{State: miner.Sleeping}), why: "neither watts nor hash rate"},
		"asleep, by an estimate":         {order: sleep, after: always(estimated(asleep)), by: "own estimate of watts and the hash rate: nothing measured"},
		"hash rate alone is no sleep":    {order: sleep, after: always(reading(miner.Unknown, 25, 0, 0)), why: "it is Unknown"},
		"unreachable is no sleep":        {order: sleep, after: func(time.Duration) (miner.Reading, error) { return miner.Reading{}, miner.ErrUnreachable }, why: "does not answer"},
		"asleep for a moment":            {order: sleep, after: then(asleep, time.Second, hashes), why: "it is Hashing"},
		"watts are gone, averages not":   {order: sleep, after: always(reading(miner.Stopping, 25, 90, 0))},
		"estimates go before averages":   {order: sleep, after: always(estimated(reading(miner.Stopping, 25, 90, 0))), why: "it is Stopping"},
		"awake":                          {order: wake, before: asleep, after: then(reading(miner.Starting, 400, 0, 3500), 9*time.Second, hashes)},
		"awake, and searches its clocks": {order: wake, before: asleep, after: always(reading(miner.Starting, 900, 0, 3500))},
		"awake by an estimate":           {order: wake, before: asleep, after: always(estimated(reading(miner.Starting, 900, 0, 3500))), why: "it is Starting"},
		"says it hashes and draws none":  {order: wake, before: asleep, after: always(reading(miner.Hashing, 25, 200, 3500)), why: "draws only 25 W"},
		"still asleep":                   {order: wake, before: asleep, after: always(asleep), why: "it is Sleeping"},
		"at its target":                  {order: to2500, after: then(hashes, 6*time.Second, at2500), by: "watts measured by its supply"},
		"shows the target, draws on":     {order: to2500, after: always(lies), why: "draws 3500 W, more than"},
		"follows another target":         {order: to2500, after: always(reading(miner.Hashing, 2500, 160, 2900)), why: "follows a target of 2900 W"},
		"target of a sleeping one":       {order: to2500, before: asleep, after: then(asleep, 9*time.Second, at2500)},
		"passes its target on the way": {order: to2500, after: func(d time.Duration) (miner.Reading, error) {
			return reading(miner.Hashing, 3500-int64(d/time.Second)*60, 180, 2500), nil
		}, why: "still move"},
		"a raise that shows nothing": {order: Order{Watts: 3600}, after: always(reading(miner.Hashing, 3500, 200, 3600)), why: "as good as before"},
		"a raise that shows":         {order: Order{Watts: 3600}, after: always(reading(miner.Hashing, 3590, 205, 3600))},
		"a raise too small to tell":  {order: Order{Watts: 3510}, after: always(reading(miner.Hashing, 3500, 200, 3510)), by: "too small for them"},
		"too small, and no target":   {order: Order{Watts: 3510}, before: targetless(hashes), after: always(targetless(hashes)), why: "too small to tell"},
		"as it was":                  {order: Order{Watts: 3500}, after: always(hashes)},
		"an estimate that follows":   {order: to2500, before: estimated(hashes), after: always(estimated(at2500)), by: "nothing measured"},
		"an estimate that obeys alone": {
			order: to2500, before: estimated(hashes), after: always(estimated(reading(miner.Hashing, 2500, 199, 2500))), why: "hashes at 199 TH/s, as good as before",
		},
		"no watts, hash rate goes":    {order: to2500, before: wattless(hashes), after: always(wattless(at2500)), by: "the target it names, as it names no watts"},
		"no watts, hash rate stays":   {order: to2500, before: wattless(hashes), after: always(wattless(reading(miner.Hashing, 0, 200, 2500))), why: "as good as before"},
		"no watts, no target":         {order: to2500, before: wattless(hashes), after: always(targetless(wattless(at2500))), why: "neither its watts nor"},
		"draws less than its limit":   {order: Order{Watts: 3200}, before: reading(miner.Hashing, 3000, 190, 3600), after: always(reading(miner.Hashing, 3000, 190, 3200))},
		"changed back by somebody":    {order: to2500, after: then(at2500, 1500*time.Millisecond, hashes), why: "follows a target of 3500 W"},
		"a starting one is not there": {order: to2500, after: always(reading(miner.Starting, 2500, 0, 2500)), why: "it is Starting"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := s21(t)
			if c.before.State != "" {
				f.before = c.before
			}
			f.after = c.after
			began := f.clock.now
			r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, c.order)
			if r == nil || len(f.applied) != 1 {
				t.Fatalf("%v, applied %v", err, f.applied)
			}
			if r.Happened != (c.why == "") || (err == nil) != r.Happened || !strings.Contains(r.Why, c.why) {
				t.Fatalf("happened %t: %q, %v; want %q", r.Happened, r.Why, err, c.why)
			}
			if !strings.Contains(r.JudgedBy, c.by) {
				t.Errorf("judged by %q, want %q", r.JudgedBy, c.by)
			}
			if took := f.clock.now.Sub(began); took > 20*time.Second {
				t.Errorf("waited %s", took)
			}
			if !strings.Contains(strings.Join(r.Notes, " "), "its agent may command the machine back") {
				t.Errorf("notes %q", r.Notes)
			}
		})
	}
}

func TestItSaysThatSomebodyChangedItBack(t *testing.T) {
	f := s21(t)
	f.after = then(reading(miner.Hashing, 2510, 160, 2500), 8*time.Second, hashes)
	f.can.TrimTiming.Worst = 60 * time.Second // a window of 6 s, looked at every 5
	r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, Order{Watts: 2500})
	if err == nil || r.Happened {
		t.Fatalf("%+v, %v", r, err)
	}
	if !strings.Contains(strings.Join(r.Notes, " "), "changed it back") {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestWhatCanNotBeIsRefusedBeforeAnythingIsSent(t *testing.T) {
	modes := []miner.Mode{{Name: "low", Watts: 1500, THs: 90}, {Name: "high", Watts: 3000, THs: 190}}
	for name, c := range map[string]struct {
		order  Order
		change func(*fake)
		want   []string
	}{
		"too many watts":       {Order{Watts: 3801}, nil, []string{"--watts", "range of 1400 to 3800 W", "--sleep"}},
		"too few watts":        {Order{Watts: 1399}, nil, []string{"range of 1400 to 3800 W"}},
		"over the modes":       {Order{Watts: 3001}, func(f *fake) { f.can.Continuous, f.can.Modes = false, modes }, []string{"range of 1500 to 3000 W", "low (1500 W)"}},
		"under the modes":      {Order{Watts: 1499}, func(f *fake) { f.can.Continuous, f.can.Modes = false, modes }, []string{"range of 1500 to 3000 W"}},
		"no watt targets":      {Order{Watts: 2000}, func(f *fake) { f.can.Continuous = false }, []string{"offers no watt targets", "it can: --sleep; --wake"}},
		"no such mode":         {Order{Mode: "turbo"}, func(f *fake) { f.can.Modes = modes }, []string{`no mode "turbo"`, "high (3000 W)"}},
		"no modes":             {Order{Mode: "low"}, nil, []string{`no mode "low"`, "--watts 1400 to 3800"}},
		"no sleep":             {Order{Sleep: true}, func(f *fake) { f.can.Sleep = false }, []string{"can't be put to sleep", "it can: --watts"}},
		"nothing at all":       {Order{Wake: true}, func(f *fake) { f.can = miner.Capabilities{} }, []string{"it can: nothing, it is only read"}},
		"no credentials":       {Order{Sleep: true}, func(f *fake) { f.id.Firmware = miner.VNish }, []string{"--credentials", "VNish.password", "nothing was sent"}},
		"the machine says no":  {Order{Sleep: true}, func(f *fake) { f.refusal = miner.ErrRefused }, []string{"refuses", "nothing was changed"}},
		"its API is locked":    {Order{Sleep: true}, func(f *fake) { f.refusal = miner.ErrLocked }, []string{"API is locked", "open its API"}},
		"somebody else has it": {Order{Sleep: true}, func(f *fake) { f.refusal = miner.ErrBusy }, []string{"another client", "operator's agent"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := s21(t)
			if c.change != nil {
				c.change(f)
			}
			r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, c.order)
			if r != nil || err == nil {
				t.Fatalf("%+v, %v", r, err)
			}
			for _, want := range append(c.want, "10.0.0.7: ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			if len(f.applied) > 0 && f.refusal == nil {
				t.Errorf("sent %v", f.applied)
			}
		})
	}
}

func TestWattsBecomeTheHighestModeAtOrUnderThem(t *testing.T) {
	f := s21(t)
	f.can.Continuous = false
	f.can.Modes = []miner.Mode{{Name: "low", Watts: 1500, THs: 90}, {Name: "mid", Watts: 2500, THs: 150}, {Name: "high", Watts: 3000, THs: 190}}
	after := reading(miner.Hashing, 2600, 160, 2500)
	after.Mode = "mid"
	f.after = always(after)
	r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, Order{Watts: 2999})
	if err != nil || f.applied[0] != (miner.Setting{Kind: miner.HashMode, Mode: "mid"}) || *r.Commanded.Watts != 2500 || r.Effective.Mode != "mid" {
		t.Fatalf("%+v, %v, applied %v", r, err, f.applied)
	}
	other := reading(miner.Hashing, 1500, 90, 1500)
	other.Mode = "high"
	f.after = always(other)
	if r, err = (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, Order{Mode: "low"}); err == nil || r.Why != "mode high is in force" {
		t.Errorf("another mode is in force: %+v", r)
	}
}

// An Avalon Q names the watts of its boards as what it follows in a mode, and draws those of the mode at the wall.
func TestAModeInForceNeedsNoTargetOfItsWatts(t *testing.T) {
	f := s21(t)
	f.can.Continuous = false
	f.can.Modes = []miner.Mode{{Name: "eco", Watts: 848, THs: 52}, {Name: "super", Watts: 1755, THs: 90}}
	f.before = reading(miner.Hashing, 1668, 89, 1655)
	f.before.Mode = "super"
	after := reading(miner.Hashing, 796, 49, 791)
	after.Mode = "eco"
	f.after = always(after)
	if r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, Order{Mode: "eco"}); err != nil || !r.Happened {
		t.Errorf("%+v, %v", r, err)
	}
	nameless := after
	nameless.Mode = ""
	f.after = always(nameless)
	if r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, Order{Mode: "eco"}); err == nil || r.Why != "it follows a target of 791 W" {
		t.Errorf("its target is all there is to tell by: %+v, %v", r, err)
	}
}

func TestAMachineThatFallsSilentHasToShowItAgain(t *testing.T) {
	f := s21(t)
	f.after = func(d time.Duration) (miner.Reading, error) {
		if d == 2*time.Second {
			return miner.Reading{}, miner.ErrUnreachable
		}
		return asleep, nil
	}
	r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, Order{Sleep: true})
	if err != nil || r.WaitedSeconds != 6 { // looked at every 2 s, and 2 s long it has to stay so
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAnUnclearAnswerIsJudgedByWhatIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		refusal error
		note    string
	}{
		"no answer":     {errors.New("reading the reply: EOF"), "no clear yes"},
		"half":          {miner.ErrHalfApplied, "no clear yes"},
		"no answer yet": {fmt.Errorf("set: %w: %w", miner.ErrUnderWay, context.DeadlineExceeded), "has not answered yet"},
	} {
		f := s21(t)
		f.refusal, f.after = c.refusal, always(asleep)
		r, err := (&Set{Tool: f.tool(), Progress: io.Discard}).Run(t.Context(), place, Order{Sleep: true})
		if err != nil || !r.Happened || !strings.Contains(strings.Join(r.Notes, " "), c.note) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestRestartsAreWaitedForTwiceAndAPersonMaySayHowLong(t *testing.T) {
	for name, c := range map[string]struct {
		restarts bool
		longest  time.Duration
		want     time.Duration
	}{"once": {want: 20 * time.Second}, "twice": {restarts: true, want: 40 * time.Second}, "as told": {longest: time.Minute, want: time.Minute}} {
		f := s21(t)
		f.can.TrimTiming.Restarts, f.after = c.restarts, always(hashes)
		began := f.clock.now
		r, err := (&Set{Tool: f.tool(), Progress: io.Discard, Longest: c.longest}).Run(t.Context(), place, Order{Watts: 2000})
		if took := f.clock.now.Sub(began); err == nil || took != c.want || r.WaitedSeconds != int64(c.want/time.Second) {
			t.Errorf("%s: waited %s, %v", name, took, err)
		}
	}
}

func TestAPersonMayGiveUp(t *testing.T) {
	f := s21(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.after = func(time.Duration) (miner.Reading, error) { cancel(); return asleep, nil }
	tool := f.tool()
	tool.Clock = stopped{f.clock}
	r, err := (&Set{Tool: tool, Progress: io.Discard}).Run(ctx, place, Order{Sleep: true})
	if err == nil || r.Happened || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%+v, %v", r, err)
	}
}

// stopped is a clock on which nothing is ever due.
type stopped struct{ *hasty }

func (stopped) After(time.Duration) <-chan time.Time { return nil }

func TestOnlyTheMachineThatIsMeant(t *testing.T) {
	for expect, want := range map[string]bool{
		"02:00:00:00:00:01": true, "02-00-00-00-00-01": true, "020000000001": true, "sn-1": true, "": true,
		"02:00:00:00:00:02": false, "SN-2": false, ":": false,
	} {
		f := s21(t)
		f.after = always(asleep)
		tool := f.tool()
		tool.Expect = expect
		_, err := (&Set{Tool: tool, Progress: io.Discard}).Run(t.Context(), place, Order{Sleep: true})
		if (err == nil) != want || (len(f.applied) == 1) != want {
			t.Errorf("%q: %v, applied %v", expect, err, f.applied)
		}
		if err != nil && !strings.Contains(err.Error(), "MAC 02:00:00:00:00:01, serial SN-1") {
			t.Errorf("%q: %v", expect, err)
		}
	}
}

func TestTwoClaimsAreNotCommanded(t *testing.T) {
	f := s21(t)
	tool := f.tool()
	tool.ask = func(context.Context, miner.Target, map[string]int, []miner.Firmware) []firmwares.Answer {
		return []firmwares.Answer{{Firmware: miner.LuxOS}, {Firmware: miner.VNish}}
	}
	_, err := (&Set{Tool: tool, Progress: io.Discard}).Run(t.Context(), place, Order{Sleep: true})
	if err == nil || !strings.Contains(err.Error(), "claimed by LuxOS and VNish at once") || len(f.applied) > 0 {
		t.Errorf("%v, applied %v", err, f.applied)
	}
}
