package chaos

import (
	"context"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// driver is the port to one played machine, as one agent process holds it.
type driver struct {
	a    *agent
	d    *device
	busy bool
}

// enter begins an operation; a machine is minded by one worker at a time.
func (p *driver) enter() (leave func()) {
	if p.busy {
		p.a.h.check.broke("PORT", "%s begins an operation at %s while another is under way", p.a.name, p.d.name)
	}
	p.busy = true
	return func() { p.busy = false }
}

// limit is the time that a worker has, and whether it was cut short.
type limit struct {
	at    time.Duration
	cut   bool
	waits *thread
}

type limitKey struct{}

// within is context.WithTimeout by the agent's clock.
func (a *agent) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	l := &limit{at: a.h.now + a.in(a.now()+d)}
	return context.WithValue(ctx, limitKey{}, l), func() {
		l.cut = true
		if l.waits != nil {
			l.waits.poke(time.Millisecond)
		}
	}
}

// work starts a worker. It picks its operation up a moment later: the process may be paused in between.
func (a *agent) work(do func()) {
	a.h.startIn(a.h.between(0, 5*time.Millisecond), &a.process, func(*thread) { do() })
}

// never is longer than any history.
const never = 1 << 60

// wait lets time pass for the worker that runs, until done, or until its time is over.
func (a *agent) wait(ctx context.Context, d time.Duration, done *bool) error {
	l, ok := ctx.Value(limitKey{}).(*limit)
	if !ok {
		panic("a worker without a limit")
	}
	h, end := a.h, a.h.now+d
	l.waits = h.running
	for !l.cut && h.now < min(end, l.at) && (done == nil || !*done) {
		h.running.sleep(min(end, l.at) - h.now)
	}
	l.waits = nil
	there := h.now >= end || done != nil && *done
	switch {
	case there && (!l.cut && h.now < l.at || h.chance(0.5)): // what came while the process was paused may win
		return nil
	case l.cut:
		return context.Canceled
	}
	return context.DeadlineExceeded
}

// hang is a worker that no limit ends.
func (a *agent) hang(d time.Duration) {
	for end := a.h.now + d; a.h.now < end; {
		a.h.running.sleep(end - a.h.now)
	}
}

// open finds the machine at an address and asks it who it is.
func (a *agent) open(ctx context.Context, addr netip.Addr, _ miner.Firmware, _ map[string]int) (miner.Driver, miner.Identity, error) {
	d := a.h.byAddr[addr]
	if d == nil {
		if err := a.wait(ctx, 2*time.Second, nil); err != nil {
			return nil, miner.Identity{}, err
		}
		return nil, miner.Identity{}, miner.ErrUnreachable
	}
	port, s := &driver{a: a, d: d}, a.sight(d)
	id, err := port.Identify(ctx)
	if err != nil {
		s.failed(ctx)
		return nil, id, err
	}
	if !s.found {
		s.found, s.asked = true, false // its first look is yet to come
	}
	return port, id, nil
}

// Identify is answered by whatever is there.
func (p *driver) Identify(ctx context.Context) (miner.Identity, error) {
	defer p.enter()()
	if err := p.reach(ctx); err != nil {
		return miner.Identity{}, err
	}
	return miner.Identity{Firmware: miner.BraiinsOS, MAC: p.d.identity}, nil
}

// reach takes the time of a question and its answer. A machine that is away refuses at once, or says
// nothing at all.
func (p *driver) reach(ctx context.Context) error {
	h := p.a.h
	if !p.d.reachable() && h.chance(0.3) {
		if err := p.a.wait(ctx, h.between(time.Millisecond, time.Second), nil); err != nil {
			return err
		}
		return miner.ErrUnreachable
	}
	if !p.d.reachable() || h.chance(h.cfg.lost) {
		if h.chance(0.1) && !h.cfg.wild { // nothing else goes wrong there
			stuck := h.between(time.Second, 30*time.Second)
			h.check.impaired(p.d, stuck) // it can't be told anything meanwhile
			p.a.hang(stuck)
		}
		return p.a.wait(ctx, never, nil)
	}
	return p.a.wait(ctx, h.between(5*time.Millisecond, 80*time.Millisecond), nil)
}

// Read looks at the machine as it is when the look begins.
func (p *driver) Read(ctx context.Context) (miner.Reading, error) {
	defer p.enter()()
	s := p.a.sight(p.d)
	r := p.d.read(p.a.now())
	if err := p.reach(ctx); err != nil {
		s.failed(ctx)
		return miner.Reading{}, err
	}
	s.saw(r)
	return readingFor(r), nil
}

// Apply sends a setting. The machine gets it a moment later, whatever becomes of the sender. Where no
// connection has to be made first, nobody looks once more whether time is left.
func (p *driver) Apply(ctx context.Context, m miner.Setting) error {
	defer p.enter()()
	a, d, h, set := p.a, p.d, p.a.h, settingFor(m)
	if err := a.connect(ctx); err != nil {
		a.over = 0 // it has to be tried again, after a rest
		if d.missed++; d.missed >= 3 {
			d.faulty = true // a machine that hears nothing so often is stuck, and told once a minute
		}
		a.sight(d).may(d, set)
		h.check.impaired(d, 0)
		return err
	}
	d.missed = 0
	s := a.sight(d)
	h.check.leaves(a, d, s, set)
	undo := s.left(d, set)
	over := false
	s.writing++
	defer func() { s.writing, over = s.writing-1, true }()
	d.order = max(d.order, h.now+h.between(0, 40*time.Millisecond))
	var (
		answered bool
		answer   error
		t        = h.running
	)
	arrived, begun := d.sends(set), s.next.begun
	h.at(d.order, func() {
		arrived()
		v := d.obey(a, set, h.now-begun)
		if v == unanswered || v == accepted && h.chance(h.cfg.lost) {
			return
		}
		answer = answers[v]
		h.after(h.between(0, 60*time.Millisecond), func() {
			if !over {
				answered = true
				t.poke(0)
			}
		})
	})
	if err := a.wait(ctx, never, &answered); err != nil {
		return err
	}
	if answer != nil {
		undo()
	}
	return answer
}

// connect takes its time now and then; nothing has left by then.
func (a *agent) connect(ctx context.Context) error {
	l, ok := ctx.Value(limitKey{}).(*limit)
	if !ok || l.cut {
		return context.Canceled
	}
	if !a.h.chance(min(10*a.h.cfg.slow, 0.2)) {
		return nil
	}
	if err := a.wait(ctx, a.h.between(100*time.Millisecond, 6*time.Second), nil); err != nil {
		return err
	}
	if a.h.now >= l.at {
		return context.DeadlineExceeded
	}
	return nil
}

var answers = map[verdict]error{
	accepted: nil, refused: miner.ErrRefused, busy: miner.ErrBusy, away: miner.ErrUnreachable,
}

// Capabilities are the machine's traits.
func (p *driver) Capabilities() miner.Capabilities {
	t := &p.d.traits
	c := miner.Capabilities{
		Sleep: t.CanSleep, SleepSurvivesReboot: t.SleepSurvivesReboot, Continuous: t.Max > 0,
		MinWatts: int64(t.Min), MaxWatts: int64(t.Max), StepWatts: int64(t.Step),
		NameplateWatts: int64(t.Nameplate), NameplateTHs: t.NameplateTHs, ResidualWatts: int64(t.Residual),
		SleepTiming: timingFor(t.Sleep), WakeTiming: timingFor(t.Wake), TrimTiming: timingFor(t.Trim),
	}
	for _, m := range t.Modes {
		c.Modes = append(c.Modes, miner.Mode{Name: m.Name, Watts: int64(m.Watts), THs: m.THs})
	}
	return c
}

func timingFor(t fit.Timing) miner.Timing {
	return miner.Timing{Typical: t.Worst, Worst: t.Worst, Restarts: t.Restarts}
}

var states = map[fit.State]miner.State{
	fit.Hashing: miner.Hashing, fit.Starting: miner.Starting, fit.Sleeping: miner.Sleeping, fit.Stopping: miner.Stopping,
}

func readingFor(r fit.Reading) miner.Reading {
	v := &struct {
		watts, target int64
		ths           float64
		uptime        time.Duration
	}{int64(r.Watts), int64(r.Target), r.THs, r.Uptime}
	m := miner.Reading{
		State: states[r.State], HashrateTHs: &v.ths, Watts: &v.watts, WattsSource: miner.Meter, Mode: r.Mode, Uptime: &v.uptime,
	}
	if r.Estimated {
		m.WattsSource = miner.Estimate
	}
	if r.Target > 0 {
		m.Effective = &v.target
	}
	return m
}

func settingFor(s miner.Setting) fit.Setting {
	switch s.Kind {
	case miner.HashWatts:
		return fit.Setting{Kind: fit.HashWatts, Watts: fit.Watts(s.Watts)}
	case miner.HashMode:
		return fit.Setting{Kind: fit.HashMode, Mode: s.Mode}
	default:
		return fit.Setting{Kind: fit.Sleep}
	}
}
