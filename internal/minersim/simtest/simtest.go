// Package simtest runs simulated sites in tests: real loopback sockets, on a clock that only the
// test moves.
package simtest

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Clock is a clock the test moves.
type Clock struct {
	mu      sync.Mutex
	changed *sync.Cond
	now     time.Time
	waiters []waiter
}

type waiter struct {
	at time.Time
	ch chan time.Time
}

// NewClock starts at a fixed instant.
func NewClock() *Clock {
	c := &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Now is the instant the test has moved to.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After fires once the test has moved so far.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := waiter{c.now.Add(d), make(chan time.Time, 1)}
	c.waiters = append(c.waiters, w)
	c.changed.Broadcast()
	return w.ch
}

// Advance moves the clock and fires what is due.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	kept := c.waiters[:0]
	for _, w := range c.waiters {
		if w.at.After(c.now) {
			kept = append(kept, w)
			continue
		}
		w.ch <- c.now
	}
	c.waiters = kept
}

// AwaitWaiter blocks until somebody waits on the clock, so that a test can move it past them.
func (c *Clock) AwaitWaiter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiters) == 0 {
		c.changed.Wait()
	}
}

// Base is a /24 of loopback addresses of this test process, without the last number:
// "127.x.y.".
func Base() string {
	pid := os.Getpid()
	return "127." + strconv.Itoa(64+pid%150) + "." + strconv.Itoa(pid/150%250) + "."
}

// Start opens the site of a fleet file, in which BASE stands for Base(), and closes it with the
// test.
func Start(t *testing.T, fronts map[string]minersim.Front, file string) (*minersim.Site, *Clock) {
	t.Helper()
	f, err := minersim.ParseFleet([]byte(strings.ReplaceAll(file, "BASE", Base())))
	if err != nil {
		t.Fatal(err)
	}
	clock := NewClock()
	fleet, err := minersim.NewFleet(f, fronts, clock)
	if err != nil {
		t.Fatal(err)
	}
	site := minersim.NewSite(fleet, fronts, logr.Discard())
	t.Cleanup(site.Close)
	if err := site.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return site, clock
}
