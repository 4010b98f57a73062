package chaos

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var (
	errUID     = errors.New("the UID in the precondition is another")
	errVersion = errors.New("the object has been modified")
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset by peer")

	errKept     = errors.New("a policy refuses it")
	errNotFresh = errors.New("the last renewal is too old to write anything")
)

// server is the API server's health. While it hangs, requests wait in it; some take effect when it goes on,
// long after whoever asked has given up.
type server struct {
	down bool
	hung bool
	held []func()
}

// goOn ends a hang.
func (h *history) goOn() {
	held := h.server.held
	h.server.hung, h.server.held = false, nil
	for _, f := range held {
		if h.chance(0.6) {
			f()
		}
	}
}

// deadlineKey carries the virtual deadline of a context.
type deadlineKey struct{}

// within is context.WithTimeout in virtual time.
func (h *history) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	at := h.now + d
	if before, ok := ctx.Value(deadlineKey{}).(time.Duration); ok {
		at = min(at, before)
	}
	return context.WithValue(ctx, deadlineKey{}, at), func() {}
}

// call sends one request to the API server from the thread that runs, and waits for its answer. exec runs
// in the server, then runs where the answer came. A request may be lost, or take effect without an answer.
func (o *operator) call(ctx context.Context, exec func() (then func(), err error)) error {
	h, t := o.h, o.h.running
	deadline, ok := ctx.Value(deadlineKey{}).(time.Duration)
	if !ok {
		deadline = h.now + time.Minute
	}
	if h.server.down {
		t.sleep(h.latency())
		return errRefused
	}
	var (
		answered bool
		result   error
		after    func()
	)
	answer := func(then func(), err error) {
		if h.chance(h.cfg.lost) {
			h.logf("%s: an answer is lost", o.name)
			then, err = nil, errReset
		}
		h.after(h.latency(), func() {
			answered, result, after = true, err, then
			t.poke(0)
		})
	}
	if h.chance(h.cfg.lost) {
		h.logf("%s: a request is lost", o.name)
		answer(nil, errReset)
	} else {
		h.after(h.latency(), func() { h.serve(func() { answer(exec()) }) })
	}
	for !answered {
		if h.now >= deadline {
			return context.DeadlineExceeded
		}
		t.sleep(deadline - h.now)
	}
	if after != nil {
		after()
	}
	return result
}

// change sends a request that changes something: only while the last renewal is young enough, as the
// manager's client is set up to (L7).
func (o *operator) change(ctx context.Context, exec func() (then func(), err error)) error {
	if !o.leader.Fresh() {
		return errNotFresh
	}
	o.h.check.sends(o)
	return o.call(ctx, exec)
}

// serve runs a request, at once or once the server has stopped hanging.
func (h *history) serve(f func()) {
	switch {
	case h.server.down:
	case h.server.hung:
		h.server.held = append(h.server.held, f)
	default:
		f()
	}
}

// latency of one way to the API server.
func (h *history) latency() time.Duration {
	if h.chance(h.cfg.slow) {
		return h.between(100*time.Millisecond, 3*time.Second)
	}
	return h.between(time.Millisecond, 12*time.Millisecond)
}

func notFound(k kind, name string) error { return apierrors.NewNotFound(resourceOf(k), name) }
func conflict(k kind, name string) error {
	return apierrors.NewConflict(resourceOf(k), name, errVersion)
}
