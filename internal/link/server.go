package link

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link/linkpb"
)

// podUIDKey is the metadata key in which both sides name the agent's pod.
const podUIDKey = "counterweight-pod-uid"

// How a dead peer is noticed: a question after a second of silence, three more for the answer.
const (
	keepaliveEvery = time.Second
	keepaliveWait  = 3 * time.Second
	// connectionAge stays far below the life of a leaf: a stream is never verified again once it is up.
	connectionAge = 12 * time.Hour
	maxStreams    = 16
)

// Agent is what the server carries messages to and reports from. Its methods are called by several
// streams at once: an old leader's and a new one's may both be up.
type Agent interface {
	// Hello and Lease answer why a message was refused; the stream stays up, since the next report
	// tells the sender what is in force.
	Hello(ctx context.Context, m lease.Hello) error
	Lease(ctx context.Context, m lease.Lease) error
	// Subscribe answers a channel that yields the newest report at once and after every change, until
	// cancel. A reader that is slow misses reports, never the newest.
	Subscribe(ctx context.Context) (reports <-chan lease.Report, cancel func())
}

type server struct {
	linkpb.UnimplementedAgentServer
	agent  Agent
	podUID string
	log    logr.Logger
}

// NewServer makes the agent's gRPC server for the pod of that UID. The caller serves and stops it;
// Stop, not GracefulStop, since streams have no end of their own.
func NewServer(agent Agent, podUID string, tlsConfig *tls.Config, log logr.Logger) *grpc.Server {
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(tlsConfig)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveEvery / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: keepaliveEvery, Timeout: keepaliveWait,
			MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: keepaliveWait,
		}),
		grpc.MaxConcurrentStreams(maxStreams),
	)
	linkpb.RegisterAgentServer(s, &server{agent: agent, podUID: podUID, log: log})
	return s
}

// Attach serves one stream: reports up in this goroutine, orders down in another that ends with it.
func (s *server) Attach(stream grpc.BidiStreamingServer[linkpb.Order, linkpb.Report]) error {
	if err := s.bind(stream); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	go func() { cancel(s.receive(ctx, stream)) }() // ends with the stream, which ends with this call
	err := s.send(ctx, stream)
	if cause := context.Cause(ctx); status.Code(cause) == codes.InvalidArgument {
		err = cause
	}
	return err
}

// bind tells the operator which pod this is and refuses one that looks for another.
func (s *server) bind(stream grpc.BidiStreamingServer[linkpb.Order, linkpb.Report]) error {
	if err := stream.SendHeader(metadata.Pairs(podUIDKey, s.podUID)); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	if want := md.Get(podUIDKey); len(want) != 1 || want[0] != s.podUID {
		return status.Errorf(codes.FailedPrecondition, "this is pod %s, asked for %q", s.podUID, want)
	}
	return nil
}

// receive hands orders to the agent until the stream ends, and answers why it did.
func (s *server) receive(ctx context.Context, stream grpc.BidiStreamingServer[linkpb.Order, linkpb.Report]) error {
	from := ""
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if m.GetOrder() == nil && len(m.ProtoReflect().GetUnknown()) > 0 {
			s.log.V(1).Info("Left out an order of a kind that a newer operator knows", "operator", from)
			continue
		}
		o, err := orderFromWire(m)
		if err != nil {
			s.log.Error(err, "Closing a stream that sent a malformed order", "operator", from)
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if o.Hello != nil {
			err = s.agent.Hello(ctx, *o.Hello)
		} else {
			err = s.agent.Lease(ctx, *o.Lease)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.log.V(1).Info("Refused an order", "operator", from, "reason", err.Error())
		}
	}
}

// send passes reports on until the stream ends. Prior settings go only where they changed.
func (s *server) send(ctx context.Context, stream grpc.BidiStreamingServer[linkpb.Order, linkpb.Report]) error {
	reports, cancel := s.agent.Subscribe(ctx)
	defer cancel()
	var before map[string]string
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return nil
		case r := <-reports:
			m := reportToWire(r)
			if !first && maps.Equal(before, r.PriorSettings) {
				m.PriorSettings = nil
			}
			before = r.PriorSettings
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
}
