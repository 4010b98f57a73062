package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// persona is how a fake machine misbehaves.
type persona int

const (
	good persona = iota
	// deaf says yes and does nothing.
	deaf
	// dark answers nothing at all.
	dark
	// late does as told at once and says so much later.
	late
	// hung keeps its caller waiting whatever the caller's context says.
	hung
	// busy is held by somebody else's session.
	busy
	// slow does as told and says so long after that; its driver waits for it, and not its caller.
	slow
	// cut takes no orders for want of a connection, and is read all the same.
	cut
)

const (
	fakeWatts    = 3500
	fakeResidual = 20
	fakeLatency  = 20 * time.Millisecond
	fakeRamp     = 4 * time.Second
	fakeDial     = 2 * time.Second // until an address that nobody uses is given up
)

// write is one setting that reached a fake machine.
type write struct {
	at      time.Duration
	addr    netip.Addr
	setting miner.Setting
}

// ranch is a set of fake machines on one clock.
type ranch struct {
	start   time.Time
	mu      sync.Mutex
	fakes   map[netip.Addr]*fake
	writes  []write
	overlap int           // operations begun at a machine that had one
	release chan struct{} // closed by free
	once    sync.Once
}

func newRanch(count int) *ranch {
	r := &ranch{start: time.Now(), fakes: map[netip.Addr]*fake{}, release: make(chan struct{})}
	addr := netip.MustParseAddr("10.0.0.1")
	for i := range count {
		r.fakes[addr] = &fake{ranch: r, addr: addr, mac: fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255), target: fakeWatts, to: fakeWatts}
		addr = addr.Next()
	}
	return r
}

// free lets go of what hangs, for good.
func (r *ranch) free() { r.once.Do(func() { close(r.release) }) }

func (r *ranch) now() time.Duration { return time.Since(r.start) }

func (r *ranch) at(i int) *fake {
	addr := netip.MustParseAddr("10.0.0.1")
	for range i {
		addr = addr.Next()
	}
	return r.fakes[addr]
}

// open is the agent's Opener.
func (r *ranch) open(ctx context.Context, addr netip.Addr, _ miner.Firmware, _ map[string]int) (miner.Driver, miner.Identity, error) {
	r.mu.Lock()
	f := r.fakes[addr]
	r.mu.Unlock()
	if f != nil && f.turns(f.state().shut) {
		return nil, miner.Identity{}, fmt.Errorf("fake: %w", &miner.Busy{After: f.state().shut})
	}
	if f == nil {
		time.Sleep(fakeDial)
		return nil, miner.Identity{}, miner.ErrUnreachable
	}
	id, err := f.Identify(ctx)
	return f, id, err
}

// watts is the truth.
func (r *ranch) watts() (sum int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.fakes {
		sum += f.watts()
	}
	return sum
}

func (r *ranch) written() []write {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]write(nil), r.writes...)
}

// fake is one machine with a straight ramp for physics. Its fields are guarded by ranch.mu.
type fake struct {
	ranch   *ranch
	addr    netip.Addr
	mac     string
	persona persona
	slow    time.Duration   // extra time of a read
	away    time.Duration   // when one that is busy wants to be asked again; 0 does not say
	shut    time.Duration   // the same of who looks for it
	tries   []time.Duration // when it was busy or shut
	settles time.Duration   // how long its sleep takes at worst; 0 is 5 s
	ignores bool            // says what its persona says, and does nothing
	fixed   bool            // takes no watt targets

	target   int64
	asleep   bool
	from, to int64
	since    time.Duration
	reads    int
	inside   int // operations now
	booted   time.Duration
}

func (f *fake) watts() int64 {
	passed := f.ranch.now() - f.since
	if passed >= fakeRamp {
		return f.to
	}
	return f.from + (f.to-f.from)*int64(passed)/int64(fakeRamp)
}

func (f *fake) head(to int64) {
	f.from, f.to, f.since = f.watts(), to, f.ranch.now()
}

// become changes the persona.
func (f *fake) become(p persona) {
	f.ranch.mu.Lock()
	defer f.ranch.mu.Unlock()
	f.persona = p
}

// rebootHot starts the machine again at full power, whatever it was told before.
func (f *fake) rebootHot() {
	f.ranch.mu.Lock()
	defer f.ranch.mu.Unlock()
	f.asleep, f.target, f.booted = false, fakeWatts, f.ranch.now()
	f.head(fakeWatts)
}

// state is a copy of the machine as it is; its ranch stands still meanwhile.
func (f *fake) state() fake {
	f.ranch.mu.Lock()
	defer f.ranch.mu.Unlock()
	return *f
}

func (f *fake) is() persona {
	f.ranch.mu.Lock()
	defer f.ranch.mu.Unlock()
	return f.persona
}

// wait takes d, or ends with ctx; a dark machine always ends with ctx, a hung one not even then.
func (f *fake) wait(ctx context.Context, d time.Duration) error {
	switch f.is() {
	case hung:
		<-f.ranch.release
		return errors.New("hung")
	case dark:
		<-ctx.Done()
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// enter and its answer bracket an operation: a driver is used by one goroutine at a time.
func (f *fake) enter() (leave func()) {
	f.ranch.mu.Lock()
	defer f.ranch.mu.Unlock()
	if f.inside++; f.inside > 1 {
		f.ranch.overlap++
	}
	return func() {
		f.ranch.mu.Lock()
		defer f.ranch.mu.Unlock()
		f.inside--
	}
}

func (f *fake) Identify(ctx context.Context) (miner.Identity, error) {
	defer f.enter()()
	if err := f.wait(ctx, fakeLatency); err != nil {
		return miner.Identity{}, err
	}
	return miner.Identity{Firmware: "Fake", Model: "F1", MAC: f.mac}, nil
}

func (f *fake) Read(ctx context.Context) (miner.Reading, error) {
	defer f.enter()()
	if err := f.wait(ctx, fakeLatency+f.slow); err != nil {
		return miner.Reading{}, err
	}
	f.ranch.mu.Lock()
	defer f.ranch.mu.Unlock()
	f.reads++
	watts, target, uptime := f.watts(), f.target, f.ranch.now()-f.booted+time.Hour
	if f.booted > 0 {
		uptime -= time.Hour
	}
	r := miner.Reading{State: miner.Hashing, Watts: &watts, WattsSource: miner.Meter, Uptime: &uptime}
	if f.asleep {
		r.State = miner.Sleeping
		if watts > fakeResidual {
			r.State = miner.Stopping
		}
	} else {
		r.Effective = &target
	}
	return r, nil
}

func (f *fake) Apply(ctx context.Context, s miner.Setting) error {
	defer f.enter()()
	if f.is() == busy {
		if after := f.state().away; f.turns(after) {
			return fmt.Errorf("fake: %w", &miner.Busy{After: after})
		}
		return fmt.Errorf("fake: %w", miner.ErrBusy)
	}
	f.ranch.mu.Lock()
	f.ranch.writes = append(f.ranch.writes, write{f.ranch.now(), f.addr, s})
	p := f.persona
	if (p == good || p == late || p == slow) && !f.ignores {
		f.obey(s)
	}
	f.ranch.mu.Unlock()
	switch p {
	case late:
		return f.wait(ctx, 21*time.Second)
	case slow:
		if err := f.wait(ctx, 21*time.Second); err != nil {
			return fmt.Errorf("fake: no answer yet: %w: %w", miner.ErrUnderWay, err)
		}
		return nil
	case cut:
		return f.wait(ctx, time.Hour)
	}
	return f.wait(ctx, fakeLatency)
}

// turns notes a try that it turns away, where it does.
func (f *fake) turns(after time.Duration) bool {
	f.ranch.mu.Lock()
	defer f.ranch.mu.Unlock()
	if after > 0 {
		f.tries = append(f.tries, f.ranch.now())
	}
	return after > 0
}

func (f *fake) obey(s miner.Setting) {
	f.asleep = s.Kind == miner.Sleep
	switch s.Kind {
	case miner.Sleep:
		f.head(fakeResidual)
		return
	case miner.HashWatts:
		f.target = s.Watts
	}
	f.head(f.target)
}

func (f *fake) Capabilities() miner.Capabilities {
	return miner.Capabilities{
		Sleep: true, SleepSurvivesReboot: true,
		Continuous: !f.fixed, MinWatts: 1000, MaxWatts: fakeWatts, StepWatts: 10,
		NameplateWatts: fakeWatts, NameplateTHs: 200, ResidualWatts: fakeResidual,
		SleepTiming: miner.Timing{Typical: 4 * time.Second, Worst: cmp.Or(f.settles, 5*time.Second)},
		WakeTiming:  miner.Timing{Typical: 4 * time.Second, Worst: 8 * time.Second},
		TrimTiming:  miner.Timing{Typical: 4 * time.Second, Worst: 8 * time.Second},
	}
}
