package minerctl

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Order is what a person wants of one machine: exactly one of these.
type Order struct {
	Watts       int64
	Mode        string
	Sleep, Wake bool
}

// plan is an order as this machine can carry it out.
type plan struct {
	order   Order
	setting miner.Setting
	// watts the machine should draw then; nil where the order names none.
	watts *int64
	// mode that should be in force then; empty where it has none.
	mode string
	// over and under are how far from watts it may draw, as shares of them.
	over, under float64
	// longest is how long it may take, window how long it has to stay so, step how long between two looks.
	longest, window, step time.Duration
}

const (
	// A target is held within 5 % from above (3.5 % were recorded); it is no floor: 8 % less were.
	overTarget, underTarget = 0.05, 0.10
	// A mode is a set of clocks: its watts are those of the model, and a machine differs from it.
	overMode, underMode = 0.10, 0.15

	// stepShare of the longest time is between two looks.
	stepShare         = 10
	leastStep         = time.Second
	mostStep          = 5 * time.Second
	leastWindow       = 2 * time.Second
	mostWindow        = 20 * time.Second
	leastLongest      = 10 * time.Second
	restartsTakeTwice = 2
)

// planOf checks an order against what the machine can do. Nothing is sent.
func planOf(o Order, c miner.Capabilities, r miner.Reading) (plan, string) {
	p := plan{order: o, over: overTarget, under: underTarget}
	if problem := p.choose(c); problem != "" {
		return p, problem + "; it can: " + can(c)
	}
	switch {
	case o.Sleep:
		p.take(c.SleepTiming)
	case o.Wake:
		p.take(c.WakeTiming)
	default:
		p.take(c.TrimTiming)
		if r.State != miner.Hashing {
			p.take(c.WakeTiming)
		}
	}
	return p, ""
}

// choose turns the order into a setting, or says why it can't be one.
func (p *plan) choose(c miner.Capabilities) string {
	switch {
	case p.order.Mode != "":
		return p.toMode(c)
	case !p.order.Sleep && !p.order.Wake:
		return p.toWatts(c)
	case !c.Sleep:
		return "it can't be put to sleep or woken"
	case p.order.Sleep:
		p.setting = miner.Setting{Kind: miner.Sleep}
	default:
		p.setting = miner.Setting{Kind: miner.HashMode}
	}
	return ""
}

// take makes room for the worst time of an action, twice where mining restarts on the way.
func (p *plan) take(t miner.Timing) {
	longest := max(t.Worst, leastLongest)
	if t.Restarts {
		longest *= restartsTakeTwice
	}
	p.longest = max(p.longest, longest)
	p.step = min(max(t.Worst/stepShare, leastStep), mostStep)
	p.window = max(p.window, min(max(t.Worst/stepShare, leastWindow), mostWindow))
}

func (p *plan) toMode(c miner.Capabilities) string {
	at := slices.IndexFunc(c.Modes, func(m miner.Mode) bool { return m.Name == p.order.Mode })
	if at < 0 {
		return fmt.Sprintf("--mode: it offers no mode %q", p.order.Mode)
	}
	p.into(c.Modes[at])
	return ""
}

func (p *plan) into(m miner.Mode) {
	p.setting, p.mode = miner.Setting{Kind: miner.HashMode, Mode: m.Name}, m.Name
	p.over, p.under = overMode, underMode
	if m.Watts > 0 {
		p.watts = &m.Watts
	}
}

func (p *plan) toWatts(c miner.Capabilities) string {
	watts := p.order.Watts
	least, most := c.MinWatts, c.MaxWatts
	if !c.Continuous && len(c.Modes) > 0 {
		least, most = c.Modes[0].Watts, c.Modes[len(c.Modes)-1].Watts
	}
	switch {
	case !c.Continuous && len(c.Modes) == 0:
		return "--watts: it offers no watt targets now"
	case watts < least || watts > most:
		return fmt.Sprintf("--watts: %d W is outside this machine's range of %d to %d W, and nothing was sent", watts, least, most)
	case c.Continuous:
		p.setting, p.watts = miner.Setting{Kind: miner.HashWatts, Watts: watts}, &watts
		return ""
	}
	for _, m := range slices.Backward(c.Modes) {
		if m.Watts <= watts {
			p.into(m)
			break
		}
	}
	return ""
}

// shownModes bounds how many modes one line names.
const shownModes = 12

// can says what a machine can be told.
func can(c miner.Capabilities) string {
	var all []string
	if c.Continuous {
		all = append(all, fmt.Sprintf("--watts %d to %d", c.MinWatts, c.MaxWatts))
	}
	if n := len(c.Modes); n > 0 {
		var names []string
		for _, m := range c.Modes[:min(n, shownModes)] {
			names = append(names, fmt.Sprintf("%s (%d W)", m.Name, m.Watts))
		}
		if n > shownModes {
			names = append(names, fmt.Sprintf("and %d more, see probe", n-shownModes))
		}
		if !c.Continuous {
			all = append(all, fmt.Sprintf("--watts %d to %d", c.Modes[0].Watts, c.Modes[n-1].Watts))
		}
		all = append(all, "--mode "+strings.Join(names, ", "))
	}
	if c.Sleep {
		all = append(all, "--sleep", "--wake")
	}
	if len(all) == 0 {
		return "nothing, it is only read (its faults in probe may say why)"
	}
	return strings.Join(all, "; ")
}

// words are what was commanded, for a person.
func (p plan) words() string {
	switch {
	case p.order.Sleep:
		return "sleep"
	case p.order.Wake:
		return "wake"
	case p.mode != "" && p.order.Mode == "" && p.watts != nil:
		return fmt.Sprintf("mode %s of %d W, its highest at or under %d W", p.mode, *p.watts, p.order.Watts)
	case p.mode != "" && p.watts != nil:
		return fmt.Sprintf("mode %s of %d W", p.mode, *p.watts)
	case p.mode != "":
		return "mode " + p.mode
	}
	return fmt.Sprintf("%d W", *p.watts)
}
