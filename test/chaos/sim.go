package chaos

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// sim is virtual time: events in their order, one at a time. Nothing in a history waits for anything else.
type sim struct {
	now   time.Duration
	seq   uint64
	queue []moment
	rng   *rand.Rand
	steps int
	// running is the thread that is being run, nil between threads; idle are coroutines with nothing to do.
	running *thread
	idle    []*thread

	tracing bool
	trace   []string
}

type moment struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (a moment) before(b moment) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// at runs do at a time; what is asked for first comes first.
func (s *sim) at(when time.Duration, do func()) {
	s.seq++
	s.queue = append(s.queue, moment{max(when, s.now), s.seq, do})
	i := len(s.queue) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !s.queue[i].before(s.queue[up]) {
			break
		}
		s.queue[i], s.queue[up] = s.queue[up], s.queue[i]
		i = up
	}
}

func (s *sim) after(d time.Duration, do func()) { s.at(s.now+d, do) }

// pop takes the next event.
func (s *sim) pop() (moment, bool) {
	n := len(s.queue)
	if n == 0 {
		return moment{}, false
	}
	e := s.queue[0]
	s.queue[0] = s.queue[n-1]
	s.queue[n-1] = moment{}
	s.queue = s.queue[:n-1]
	n--
	for i := 0; ; {
		low := 2*i + 1
		if low >= n {
			break
		}
		if low+1 < n && s.queue[low+1].before(s.queue[low]) {
			low++
		}
		if !s.queue[low].before(s.queue[i]) {
			break
		}
		s.queue[i], s.queue[low] = s.queue[low], s.queue[i]
		i = low
	}
	return e, true
}

// run plays events until end; checked runs after each.
func (s *sim) run(end time.Duration, checked func() (stop bool)) {
	for {
		if len(s.queue) == 0 || s.queue[0].at > end {
			s.now = max(s.now, end)
			return
		}
		e, _ := s.pop()
		s.now = e.at
		s.steps++
		e.do()
		if checked() {
			return
		}
	}
}

func (s *sim) logf(format string, args ...any) {
	if s.tracing {
		s.trace = append(s.trace, fmt.Sprintf("%10.3fs  ", s.now.Seconds())+fmt.Sprintf(format, args...))
	}
}

// Draws from the history's own randomness.

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

func (s *sim) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(s.rng.Int64N(int64(high-low)))
}

func (s *sim) span(low, high int) int { return low + s.rng.IntN(high-low+1) }

func pick[T any](s *sim, from []T) T { return from[s.rng.IntN(len(from))] }

// killed unwinds a thread whose process is no more.
type killed struct{}

// process is one life of one program: it can be paused and killed. What it would do while it is paused
// happens when it goes on.
type process struct {
	name    string
	dead    bool
	paused  bool
	wentOn  time.Duration // when it last went on after a pause
	waiting []func()
	threads []*thread
}

// do runs f now, or when the process goes on; never once it is dead.
func (p *process) do(f func()) {
	switch {
	case p.dead:
	case p.paused:
		p.waiting = append(p.waiting, f)
	default:
		f()
	}
}

func (p *process) resume(now time.Duration) {
	p.paused, p.wentOn = false, now
	for len(p.waiting) > 0 && !p.dead && !p.paused {
		f := p.waiting[0]
		p.waiting = p.waiting[1:]
		f()
	}
}

// kill ends the process with everything it was about to do.
func (p *process) kill() {
	p.dead = true
	p.waiting = nil
	for _, t := range p.threads {
		t.end()
	}
}

// thread runs straight-line code that waits: a coroutine, so that its waits are events like any other.
type thread struct {
	s     *sim
	p     *process
	body  func(t *thread)
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	token int // of the wait now in progress
	busy  bool
	over  bool
	fault any
}

// start begins a thread of p.
func (s *sim) start(p *process, body func(t *thread)) *thread { return s.startIn(0, p, body) }

// startIn begins a thread of p after some time, in a coroutine that is to spare or a new one.
func (s *sim) startIn(d time.Duration, p *process, body func(t *thread)) *thread {
	var t *thread
	if n := len(s.idle); n > 0 {
		t, s.idle = s.idle[n-1], s.idle[:n-1]
	} else {
		t = &thread{s: s}
		t.next, t.stop = iter.Pull(t.loop)
	}
	t.p, t.body, t.over = p, body, false
	p.threads = append(p.threads, t)
	t.poke(d)
	return t
}

// loop runs one body after the other.
func (t *thread) loop(yield func(struct{}) bool) {
	t.yield = yield
	for t.run() && yield(struct{}{}) {
	}
}

// run ends with its body; false where it was unwound.
func (t *thread) run() (whole bool) {
	defer func() {
		t.over = true
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				t.fault = r
			}
		}
	}()
	t.body(t)
	return true
}

// wake continues the thread if it is still in that wait.
func (t *thread) wake(token int) {
	if t.token != token {
		return
	}
	t.p.do(func() {
		if t.over || t.token != token || t.busy {
			return
		}
		before := t.s.running
		t.s.running, t.busy = t, true
		t.next()
		t.s.running, t.busy = before, false
		if t.fault != nil {
			panic(t.fault)
		}
		switch {
		case t.over && t.p.dead:
			t.stop()
		case t.over:
			t.spare()
		}
	})
}

// spare keeps the coroutine of a body that has ended for another.
func (t *thread) spare() {
	t.token++ // no wake of before is meant for the next body
	for i, other := range t.p.threads {
		if other == t {
			t.p.threads = append(t.p.threads[:i], t.p.threads[i+1:]...)
			break
		}
	}
	t.p, t.body = nil, nil
	t.s.idle = append(t.s.idle, t)
}

// sleep waits; an earlier poke cuts it short.
func (t *thread) sleep(d time.Duration) {
	t.token++
	token := t.token
	t.s.after(d, func() { t.wake(token) })
	t.block()
}

// block waits for a wake.
func (t *thread) block() {
	if !t.yield(struct{}{}) || t.p.dead {
		panic(killed{})
	}
}

// poke ends the wait that the thread is in, if it is in it still after some time.
func (t *thread) poke(in time.Duration) {
	token := t.token
	t.s.after(in, func() { t.wake(token) })
}

// end unwinds the thread; one that is running unwinds at its next wait.
func (t *thread) end() {
	if !t.busy && !t.over {
		t.stop()
		t.over = true
	}
}
