package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// DialTimeout bounds the wait for a connection: an address nobody uses costs no more than this.
const DialTimeout = 2 * time.Second

// DialFunc opens a connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

type dialerKey struct{}

// WithDialer has Dial open its connections by another function, for whoever counts them or closes them early.
func WithDialer(ctx context.Context, dial DialFunc) context.Context {
	return context.WithValue(ctx, dialerKey{}, dial)
}

// Dial opens a TCP connection. Every failure is a miner.ErrUnreachable: nothing was sent.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial, given := ctx.Value(dialerKey{}).(DialFunc)
	if !given {
		dial = (&net.Dialer{Timeout: DialTimeout, KeepAlive: -1}).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", miner.ErrUnreachable, err)
	}
	return conn, nil
}

// Bind makes conn obey ctx: when ctx is done, reads and writes on conn fail. Call the returned function
// when the exchange is over.
func Bind(ctx context.Context, conn net.Conn) (release func()) {
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // long past: whoever waits on conn is woken
	})
	return func() { stop() }
}

// Cause prefers the reason a context ended over the I/O error that its end produced.
func Cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}
