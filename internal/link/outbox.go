package link

import (
	"context"
	"sync"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// Outbox holds the newest Hello and the newest Lease that have yet to leave for one agent. Putting never
// blocks; what a newer one replaces never leaves, which the protocol allows: an unsent lease counts in
// the ledger until a later one is in force, and a later one is what replaced it.
type Outbox struct {
	mu    sync.Mutex
	hello *lease.Hello
	lease *lease.Lease
	more  chan struct{} // holds a token while something may be waiting
}

// NewOutbox is empty.
func NewOutbox() *Outbox { return &Outbox{more: make(chan struct{}, 1)} }

// PutHello lets m leave next, and drops a lease that was waiting: it was granted to what m replaces.
func (b *Outbox) PutHello(m lease.Hello) {
	b.mu.Lock()
	b.hello, b.lease = &m, nil
	b.mu.Unlock()
	b.wake()
}

// PutLease lets m leave next, after a Hello that is waiting.
func (b *Outbox) PutLease(m lease.Lease) {
	b.mu.Lock()
	b.lease = &m
	b.mu.Unlock()
	b.wake()
}

func (b *Outbox) wake() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// next waits for an order; false where ctx ended first.
func (b *Outbox) next(ctx context.Context) (Order, bool) {
	for ctx.Err() == nil {
		if o, ok := b.take(); ok {
			return o, true
		}
		select {
		case <-ctx.Done():
		case <-b.more:
		}
	}
	return Order{}, false
}

func (b *Outbox) take() (Order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.hello != nil:
		o := Order{Hello: b.hello}
		b.hello = nil
		return o, true
	case b.lease != nil:
		o := Order{Lease: b.lease}
		b.lease = nil
		return o, true
	default:
		return Order{}, false
	}
}
