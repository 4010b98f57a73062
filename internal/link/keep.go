package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// How long Keep waits between streams: doubling from the first to the last, each halved at random so
// that a restarted operator does not dial every agent in one beat. The last is a fifth of lease.Grace: an
// agent that is back has to be found well before it sheds for want of a lease.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// Keep attaches again and again until ctx ends. down, if not nil, is told after each stream why it
// ended. It answers once everything of it has ended. ErrOtherPod does not end it: a pod list may lag.
func Keep(ctx context.Context, o Options, down func(error)) {
	keep(ctx, o, down, Attach)
}

func keep(ctx context.Context, o Options, down func(error), attach func(context.Context, Options) error) {
	onReport := o.OnReport
	wait := firstRetry
	o.OnReport = func(r lease.Report) {
		wait = firstRetry
		onReport(r)
	}
	for ctx.Err() == nil {
		err := attach(ctx, o)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the agent closed the stream")
		}
		if down != nil {
			down(err)
		}
		if !pause(ctx, wait/2+rand.N(wait/2)) { //nolint:gosec // it spreads dials and guards nothing
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
