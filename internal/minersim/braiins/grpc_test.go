package braiins_test

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/braiins"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

// bytesOnly is a codec of a client that speaks in bytes.
type bytesOnly struct{}

func (bytesOnly) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (bytesOnly) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (bytesOnly) Name() string { return "proto" }

// caller is a client of the gRPC interface.
type caller struct {
	rig
	conn  *grpc.ClientConn
	token string
	head  metadata.MD
}

func startCaller(t *testing.T, fleet string) *caller {
	front := braiins.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"BraiinsOS": front}, fleet)
	d := site.Fleet.Devices[0]
	conn, err := grpc.NewClient("passthrough:///"+d.Doors[1].String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesOnly{})), grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", to)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &caller{rig: rig{t: t, site: site, d: d, clock: clock}, conn: conn}
}

// call sends the bytes that clients send, in hexadecimal digits.
func (c *caller) call(method, request string) ([]byte, error) {
	c.t.Helper()
	in, err := hex.DecodeString(request)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx := c.t.Context()
	if c.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", c.token)
	}
	var out []byte
	err = c.conn.Invoke(ctx, "/braiins.bos.v1."+method, &in, &out, grpc.Header(&c.head))
	return out, err
}

// must is call for what can't fail.
func (c *caller) must(method, request string) []byte {
	c.t.Helper()
	out, err := c.call(method, request)
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return out
}

// at walks down the fields of a message to a text, a message or a whole number.
func at(t *testing.T, b []byte, path ...protowire.Number) (whole uint64, text []byte) {
	t.Helper()
	for _, want := range path {
		whole, text = 0, nil
		for len(b) > 0 {
			field, kind, n := protowire.ConsumeTag(b)
			size := protowire.ConsumeFieldValue(field, kind, b[n:])
			if size < 0 {
				t.Fatalf("malformed message % x", b)
			}
			switch {
			case field != want:
			case kind == protowire.BytesType:
				text, _ = protowire.ConsumeBytes(b[n:])
			default:
				whole, _ = protowire.ConsumeVarint(b[n:])
			}
			b = b[n+size:]
		}
		b = text
	}
	return whole, text
}

// login is what clients send: username root, password root.
func (c *caller) login() {
	c.t.Helper()
	_, token := at(c.t, c.must("AuthenticationService/Login", "0a04726f6f741204726f6f74"), 1)
	c.token = string(token)
	if got := c.head.Get("authorization"); len(got) != 1 || got[0] != c.token {
		c.t.Errorf("the token is %q in the head, %q in the message", got, c.token)
	}
}

const grpcOlder = `
seed: 2
groups:
- {name: a, count: 1, model: S21, firmware: BraiinsOS, firmwareVersion: "25.05", firstAddress: BASE1, password: root, ports: {BraiinsOS: 18080}}
`

// TestGRPCClientMovesTrueWatts: the calls that clients of the gRPC interface make, on releases with REST and without.
func TestGRPCClientMovesTrueWatts(t *testing.T) {
	for name, fleet := range map[string]string{"with REST": fleet, "without": grpcOlder} {
		t.Run(name, func(t *testing.T) {
			c := startCaller(t, fleet)
			c.login()
			watts, _ := at(t, c.must("MinerService/GetMinerStats", ""), 3, 1, 1)
			if draws := c.d.Truth().Watts; float64(watts) < 0.98*draws || float64(watts) > 1.02*draws {
				t.Errorf("it says %d W and draws %.0f W", watts, draws)
			}
			if _, model := at(t, c.must("MinerService/GetMinerDetails", ""), 2, 4); string(model) != "Antminer S21" {
				t.Errorf("model %q", model)
			}
			// save and force apply; 2,800 W
			if got, _ := at(t, c.must("PerformanceService/SetPowerTarget", "0803120308f015"), 1, 1); got != 2800 {
				t.Errorf("the target it took is %d W", got)
			}
			c.settlesWithin(2750, 2850)
			if got, _ := at(t, c.must("PerformanceService/GetActivePerformanceMode", ""), 2, 1, 1, 1); got != 2800 {
				t.Errorf("the target it tells is %d W", got)
			}
			if got, _ := at(t, c.must("ConfigurationService/GetMinerConfiguration", ""), 3, 3, 1); got != 2800 {
				t.Errorf("the target of its configuration is %d W", got)
			}
			if already, _ := at(t, c.must("ActionsService/PauseMining", ""), 1); already != 0 {
				t.Error("it says it was paused")
			}
			c.settlesWithin(0, 60)
			c.must("ActionsService/ResumeMining", "")
			c.settlesWithin(2750, 2850)
		})
	}
}

func (c *caller) settlesWithin(low, high float64) {
	c.t.Helper()
	c.clock.Advance(time.Minute)
	if w := c.d.Truth().Watts; w < low || w > high {
		c.t.Errorf("it draws %.0f W, want %.0f to %.0f", w, low, high)
	}
}

// TestGRPCRefusesInWords: each bad call gets the status that clients look at, and words of its own for a person.
func TestGRPCRefusesInWords(t *testing.T) {
	c := startCaller(t, fleet)
	wants := func(method, request string, want codes.Code, words string) {
		t.Helper()
		_, err := c.call(method, request)
		if got := status.Convert(err); got.Code() != want || !strings.Contains(got.Message(), words) {
			t.Errorf("%s %s: %v, want %v: %s", method, request, err, want, words)
		}
	}
	wants("ActionsService/PauseMining", "", codes.Unauthenticated, "Unauthenticated")
	wants("AuthenticationService/Login", "0a04726f6f741203626164", codes.Unauthenticated, "Unauthenticated")
	c.login()
	wants("PerformanceService/SetPowerTarget", "0803120308e807", codes.InvalidArgument, "1000 W is out of range")
	wants("PerformanceService/SetPowerTarget", "0803", codes.InvalidArgument, "power target is missing")
	wants("PerformanceService/SetPowerTarget", "ffff", codes.InvalidArgument, "malformed message")
	wants("MinerService/Unheard", "", codes.Unimplemented, "")
	if w := c.d.Truth().Watts; w < 3000 {
		t.Errorf("after calls that were all refused it draws %.0f W", w)
	}
}
