package link

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link/linkpb"
)

const (
	// attachLimit bounds reaching the agent by TCP, and then the handshake with its first words.
	attachLimit = 5 * time.Second
	// silenceLimit ends a stream on which no report came: they come every second. It notices a dead agent
	// sooner than the pings that gRPC lets a client send would, so there are none.
	silenceLimit = keepaliveEvery + keepaliveWait
	// writeBuffer is a stream's only while it sends, and there is none for reading, since TLS reads whole records:
	// an operator holds thousands of streams of small messages.
	writeBuffer = 8 << 10
)

// Why a stream ends, besides what gRPC says.
var (
	// ErrOtherPod says that what answers is another pod than the one looked for.
	ErrOtherPod = errors.New("another pod answers")
	// ErrIdentity says that what answers does not prove to be an agent of the pool, or does not take this
	// for the operator.
	ErrIdentity = errors.New("the certificates do not match")
	// ErrSilent says that the agent has stopped reporting.
	ErrSilent = errors.New("no report in time")

	errNoTLS  = errors.New("no certificates yet")
	errUsedUp = errors.New("its connection has ended")
)

// Options of one stream to one agent.
type Options struct {
	// Address is IP:PORT of the pod.
	Address string
	// ServerName is the DNS SAN the agent must prove; see the function ServerName.
	ServerName string
	// PodUID is the pod that must answer.
	PodUID string
	// TLS is from ClientTLS; it is not changed.
	TLS *tls.Config
	// NewestTLS, where set, is asked for each stream instead, so that one that comes up long after Keep
	// began has the certificates of its own day.
	NewestTLS func() *tls.Config
	// OnReport is called for each report, in order, by one goroutine; it must not block for long.
	OnReport func(lease.Report)
	// Orders holds what is to be sent. One Outbox may serve many streams, one after the other.
	Orders *Outbox
	// MaySend is asked right before each order leaves; an error ends the stream with the order unsent
	// (rule L7: an operator whose last renewal is too old sends nothing). Nil always allows.
	MaySend func() error
	// Pace, where set, is asked before each handshake, once TCP is up: what can't be reached takes nobody's turn.
	// Streams that share one do not shake hands all at once: thousands that do starve each other until their time
	// is up, and then try again together.
	Pace *rate.Limiter

	// silence, attachWithin and dialTCP replace what is usual where set.
	silence, attachWithin time.Duration
	dialTCP               func(ctx context.Context, network, address string) (net.Conn, error)
}

// Attach holds one stream to an agent and answers why it ended: ctx, a broken connection, an agent that
// is silent or is another pod, a message out of bounds, or MaySend. Nothing of it runs on afterwards.
func Attach(ctx context.Context, o Options) error {
	if err := attach(ctx, o); err != nil {
		return fmt.Errorf("stream to the agent at %s: %w", o.Address, err)
	}
	return nil
}

func attach(ctx context.Context, o Options) error {
	config := o.TLS
	if o.NewestTLS != nil {
		config = o.NewestTLS()
	}
	if config == nil {
		return errNoTLS
	}
	raw, err := reach(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	conn, err := over(raw, config, o)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(cmp.Or(o.attachWithin, attachLimit), func() { cancel(ErrSilent) })
	defer watch.Stop()

	stream, err := linkpb.NewAgentClient(conn).Attach(metadata.AppendToOutgoingContext(ctx, podUIDKey, o.PodUID))
	if err != nil {
		return because(ctx, err)
	}
	if err := bound(stream, o.PodUID); err != nil {
		return because(ctx, err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := sendOrders(ctx, stream, o); err != nil {
			cancel(err)
		}
	}()
	err = receiveReports(stream, o, watch)
	cancel(err)
	<-sent
	return because(ctx, err)
}

// because prefers the reason the stream was ended for over the cancellation it shows as.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if s, ok := status.FromError(err); ok && strings.Contains(s.Message(), "authentication handshake failed") {
		return fmt.Errorf("%w: %w", ErrIdentity, err) // gRPC has no code for it
	}
	return err
}

// reach connects to the agent, then waits for its turn to shake hands.
func reach(ctx context.Context, o Options) (net.Conn, error) {
	dial := o.dialTCP
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	dialCtx, cancel := context.WithTimeout(ctx, cmp.Or(o.attachWithin, attachLimit))
	defer cancel()
	raw, err := dial(dialCtx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	if o.Pace != nil {
		if err := o.Pace.Wait(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	return raw, nil
}

// over is gRPC on a connection that is there, and on no other: Keep makes the next one.
func over(raw net.Conn, config *tls.Config, o Options) (*grpc.ClientConn, error) {
	config = config.Clone()
	config.ServerName = o.ServerName
	once := make(chan net.Conn, 1)
	once <- raw
	return grpc.NewClient("passthrough:///"+o.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: attachLimit}),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-once:
				return c, nil
			default:
				return nil, errUsedUp
			}
		}),
		grpc.WithReadBufferSize(0),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithDisableServiceConfig(),
	)
}

// bound checks which pod answered before a word is said or heard.
func bound(stream grpc.BidiStreamingClient[linkpb.Order, linkpb.Report], podUID string) error {
	header, err := stream.Header()
	if err != nil {
		return err
	}
	if got := header.Get(podUIDKey); len(got) != 1 || got[0] != podUID {
		if len(got) == 0 { // refused before it said who it is: the refusal tells more
			if _, err := stream.Recv(); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		return fmt.Errorf("%w: want %s, got %q", ErrOtherPod, podUID, got)
	}
	return nil
}

func sendOrders(ctx context.Context, stream grpc.BidiStreamingClient[linkpb.Order, linkpb.Report], o Options) error {
	if o.Orders == nil {
		return nil
	}
	for {
		order, ok := o.Orders.next(ctx)
		if !ok {
			return nil
		}
		if o.MaySend != nil {
			if err := o.MaySend(); err != nil {
				return fmt.Errorf("order not sent: %w", err)
			}
		}
		if ok := stream.Send(orderToWire(order)) == nil; !ok {
			return nil // Recv tells why
		}
	}
}

func receiveReports(stream grpc.BidiStreamingClient[linkpb.Order, linkpb.Report], o Options, watch *time.Timer) error {
	var prior map[string]string
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		r, err := reportFromWire(m, prior)
		if err != nil {
			return err
		}
		prior = r.PriorSettings
		watch.Reset(cmp.Or(o.silence, silenceLimit))
		o.OnReport(r)
	}
}
