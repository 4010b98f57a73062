package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestStatuses(t *testing.T) {
	cases := map[string]struct {
		in      string
		letter  Text
		yes, no bool
	}{
		"a list":           {`[{"STATUS":"S","Code":22},{"STATUS":"E"}]`, "S", true, false},
		"an object":        {`{"STATUS":"I","Code":"118"}`, "I", true, false},
		"a letter":         {`"E"`, "E", false, true},
		"a fatal one":      {`[{"STATUS":"F"}]`, "F", false, true},
		"a warning":        {`[{"STATUS":"W"}]`, "W", false, false},
		"a word":           {`"RESTART"`, "RESTART", false, false},
		"none":             {`[]`, "", false, false},
		"another type":     {`[["S"]]`, "", false, false},
		"a letter of null": {`[{"STATUS":null}]`, "", false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var s Statuses
			if err := s.UnmarshalJSON([]byte(c.in)); err != nil {
				t.Fatal(err)
			}
			got := s.First()
			if got.Letter != c.letter || got.OK() != c.yes || got.No() != c.no {
				t.Errorf("%+v, yes %v, no %v", got, got.OK(), got.No())
			}
		})
	}
}

func listen(t *testing.T, answer func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

func TestExchange(t *testing.T) {
	echo := listen(t, func(conn net.Conn) {
		request := make([]byte, 64)
		n, _ := conn.Read(request)
		_, _ = conn.Write(append(request[:n], 0))
		_, _ = conn.Read(request) // until the other side hangs up
	})
	got, err := Exchange(t.Context(), echo, "ask", []byte(`{"command":"secret"}`), ReadReply)
	if err != nil || string(got) != `{"command":"secret"}` {
		t.Errorf("%q, %v", got, err)
	}
	mute := listen(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 64)) })
	_, err = Exchange(t.Context(), mute, "ask", []byte("secret"), ReadReply)
	if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), mute.String()+": ask") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a machine that hangs up: %v", err)
	}
	if errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("the request was sent, and %v says that nothing was", err)
	}
}

// The end of a context ends an exchange that waits for a machine.
func TestExchangeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	slow := listen(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 64))
		cancel()
		_, _ = io.Copy(io.Discard, conn)
	})
	if _, err := Exchange(ctx, slow, "ask", []byte("x"), ReadReply); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is no context.Canceled", err)
	}
}

func TestForeign(t *testing.T) {
	for _, err := range []error{ErrTruncated, ErrTooLarge, Decode([]byte("x"), &struct{}{})} {
		if !Unreadable(err) || !errors.Is(Foreign(err), miner.ErrNotThisFirmware) || !errors.Is(Foreign(err), err) {
			t.Errorf("%v reads as %v", err, Foreign(err))
		}
	}
	if Foreign(nil) != nil || errors.Is(Foreign(miner.ErrUnreachable), miner.ErrNotThisFirmware) {
		t.Error("what says nothing of the firmware is taken for another")
	}
}
