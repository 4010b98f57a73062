package braiins

import (
	"context"
	"crypto/rand"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// grpcPort is the firmware's own, without TLS.
	grpcPort = 50051
	// grpcBase is where every service of the interface lives.
	grpcBase = "/braiins.bos.v1."
	// grpcLogin is the one call that wants no token.
	grpcLogin = "AuthenticationService/Login"
	// maxMessage bounds a request, maxCalls how many of one connection run at once.
	maxMessage, maxCalls = 64 << 10, 16
)

// calls is the gRPC server of all machines, and the listener it accepts their connections from.
type calls struct {
	server *grpc.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func startCalls() *calls {
	s := &calls{conns: make(chan net.Conn), closed: make(chan struct{})}
	s.server = grpc.NewServer(
		grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(serveCall), grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxCalls), grpc.ConnectionTimeout(10*time.Second),
	)
	go func() { _ = s.server.Serve(s) }()
	return s
}

// Serve hands a device's connection to the server.
func (s *calls) Serve(d *minersim.Device, c net.Conn) {
	select {
	case s.conns <- callConn{c, d}:
	case <-s.closed:
		_ = c.Close()
	}
}

// Accept waits for the next connection.
func (s *calls) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close ends every wait; the server calls it too.
func (s *calls) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr is no place: every device has its own.
func (*calls) Addr() net.Addr { return &net.TCPAddr{} }

// callConn remembers whose connection it is, in the address by which a call knows its peer.
type callConn struct {
	net.Conn
	device *minersim.Device
}

type callAddr struct {
	net.Addr
	device *minersim.Device
}

// RemoteAddr is the client's, and whom it called.
func (c callConn) RemoteAddr() net.Addr { return callAddr{c.Conn.RemoteAddr(), c.device} }

// raw leaves messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*message), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*message) = append(message(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

// remote is one call at one machine, under the device's lock.
type remote struct {
	*call
	// older is there on releases without the REST interface, whose program takes orders another way.
	older *olderState
	asked fields
}

// serveCall answers any call of one message.
func serveCall(_ any, stream grpc.ServerStream) error {
	at, _ := peer.FromContext(stream.Context())
	d := at.Addr.(callAddr).device
	var request message
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	asked, good := parseFields(request)
	if !good {
		return status.Error(codes.InvalidArgument, "malformed message")
	}
	path, _ := grpc.MethodFromServerStream(stream)
	method := strings.TrimPrefix(path, grpcBase)
	var reply message
	err := status.Error(codes.Unavailable, "the machine is off the network")
	d.Do(func(m *minersim.Machine) {
		if m.Reachable() {
			reply, err = newRemote(d, m, asked).run(method, tokenOf(stream.Context()))
		}
	})
	if _, write := grpcWrites[method]; write && err == nil {
		d.Hold(stream.Context().Done())
	}
	if err != nil {
		return err
	}
	if granted, _ := parseFields(reply); method == grpcLogin {
		// Clients in the field take the token from the head of the reply, others from the message.
		if err := stream.SendHeader(metadata.Pairs("authorization", string(granted.bytes[1]))); err != nil {
			return err
		}
	}
	return stream.SendMsg(&reply)
}

func tokenOf(ctx context.Context) string {
	if sent := metadata.ValueFromIncomingContext(ctx, "authorization"); len(sent) > 0 {
		return sent[0]
	}
	return ""
}

func newRemote(d *minersim.Device, m *minersim.Machine, asked fields) *remote {
	older, st := memoryOf(d)
	return &remote{&call{state: st, m: m, now: d.Clock().Now(), d: d}, older, asked}
}

// memoryOf is a machine's firmware, with what it has beside it where it is an older one.
func memoryOf(d *minersim.Device) (*olderState, *state) {
	if older, ok := d.Memory().(*olderState); ok {
		return older, older.state
	}
	return nil, d.Memory().(*state)
}

// run answers a call; all but the login want a token.
func (c *remote) run(method, token string) (message, error) {
	if method == grpcLogin {
		return c.open()
	}
	read, reads := grpcReads[method]
	write, writes := grpcWrites[method]
	switch {
	case !reads && !writes:
		return nil, status.Error(codes.Unimplemented, "")
	case !c.authorized(token, c.m.Now()):
		return nil, status.Error(codes.Unauthenticated, "Unauthenticated")
	case reads:
		return read(c), nil
	}
	c.contest(c.m)
	return write(c)
}

// open trades name and password for a token of the kind the REST interface gives.
func (c *remote) open() (message, error) {
	if !c.letsIn(string(c.asked.bytes[1]), string(c.asked.bytes[2])) {
		return nil, status.Error(codes.Unauthenticated, "Unauthenticated")
	}
	token := rand.Text()[:16]
	c.tokens[token] = c.m.Now()
	return message{}.text(1, token).whole(2, uint64(tokenIdle/time.Second)), nil
}

// grpcWrites are the calls that tell a machine something.
var grpcWrites = map[string]func(*remote) (message, error){
	"ActionsService/PauseMining": func(c *remote) (message, error) {
		already := c.status == statusPaused
		c.halt()
		return message{}.flag(1, already), nil
	},
	"ActionsService/ResumeMining": func(c *remote) (message, error) {
		already := c.status == statusNormal
		c.mine()
		return message{}.flag(1, already), nil
	},
	"ActionsService/SetLocateDeviceStatus": func(c *remote) (message, error) {
		c.locating = c.asked.whole[1] != 0
		return message{}.flag(1, c.locating), nil
	},
	"ActionsService/Reboot": func(c *remote) (message, error) {
		c.m.CommandReboot(false)
		return message{}, nil
	},
	"PerformanceService/SetPowerTarget": (*remote).aim,
}

func (c *remote) halt() {
	if c.older != nil {
		c.older.pause(c.m)
		return
	}
	c.pause(c.m)
}

func (c *remote) mine() {
	if c.older != nil {
		c.older.resume(c.m)
		return
	}
	c.resume(c.m)
}

// aim sets a target; one that is saved without being applied is taken for one that is (assumed).
func (c *remote) aim() (message, error) {
	told, good := parseFields(c.asked.bytes[2])
	watts := told.whole[1]
	if !good || watts == 0 || watts > 1<<20 {
		return nil, status.Error(codes.InvalidArgument, "power target is missing")
	}
	set := c.setTarget
	if c.older != nil {
		set = c.older.retarget
	}
	if err := set(c.m, int(watts)); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return message{}.inner(1, message{}.whole(1, uint64(c.target))), nil
}

var (
	_ encoding.Codec = raw{}
	_ net.Listener   = (*calls)(nil)
)
