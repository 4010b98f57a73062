package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func clientOf(target miner.Target) *wire.Client {
	return &wire.Client{Address: netip.AddrPortFrom(target.Address, uint16(target.Port)), Root: "/api/"}
}

func TestVerdict(t *testing.T) {
	c := &wire.Client{Kinds: map[int]error{http.StatusConflict: nil, http.StatusTeapot: miner.ErrUnsupported}}
	for status, want := range map[int]error{
		301: miner.ErrUnsupported, 400: miner.ErrRefused, 401: miner.ErrUnauthorized, 403: miner.ErrUnauthorized,
		404: miner.ErrUnsupported, 405: miner.ErrUnsupported, 409: nil, 418: miner.ErrUnsupported, 422: miner.ErrRefused,
		429: miner.ErrBusy, 500: nil, 503: nil,
	} {
		err := c.Verdict(wire.Request{Path: "x"}, status)
		var said *wire.StatusError
		if !errors.As(err, &said) || !errors.Is(said.Kind, want) || said.Status != status || miner.NotApplied(err) != (want != nil) {
			t.Errorf("%d: %v, want %v", status, err, want)
		}
		if lets := !errors.Is(want, miner.ErrUnauthorized) && !errors.Is(want, miner.ErrBusy); wire.Answered(err) != lets || (wire.OnlyIfSilent(err) == nil) != lets {
			t.Errorf("%d: answered %v", status, wire.Answered(err))
		}
		if wire.Lost(err) {
			t.Errorf("%d counts as lost", status)
		}
	}
	if err := c.Verdict(wire.Request{}, http.StatusAccepted); err != nil {
		t.Error(err)
	}
}

// Without a login there are no tokens; another round tripper may sign what is sent.
func TestClientWithoutTokens(t *testing.T) {
	m := &wiretest.Machine{Root: "/api/", Replies: map[string]string{"GET info": `{"a":"b"}`}}
	m.Act = func(key string, body []byte) (string, bool) { return string(body), key == "PUT /x" }
	c := clientOf(wiretest.Serve(t, m))
	var signed []string
	c.RoundTripper = signs(func(r *http.Request) { signed = append(signed, r.Header.Get("Content-Type")) })
	var out struct{ A string }
	if err := c.Get(t.Context(), "info", &out); err != nil || out.A != "b" {
		t.Errorf("%+v, %v", out, err)
	}
	reply, err := c.Command(t.Context(), wire.Request{
		Method: http.MethodPut, Path: "/x", Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("a=1"),
	})
	if err != nil || string(reply.Body) != "a=1" || !reply.OK() {
		t.Errorf("%+v, %v", reply, err)
	}
	if diff := cmp.Diff([]string{"", "text/plain"}, signed); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type signs func(*http.Request)

func (s signs) RoundTrip(r *http.Request) (*http.Response, error) {
	s(r)
	return wire.Transport.RoundTrip(r)
}

// A reply of any status may refuse a token, once; and what is no token is never sent.
func TestTokens(t *testing.T) {
	m := &wiretest.Machine{Root: "/api/", Replies: map[string]string{"info": `{"error":"token"}`}}
	c := clientOf(wiretest.Serve(t, m))
	token := "one"
	var sent []string
	m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		sent = append(sent, r.Header.Get("Token"))
		return false
	}
	c.Login = func(context.Context) (string, error) { return token, nil }
	c.Show = func(header http.Header, token string) { header.Set("Token", token) }
	c.Refused = func(reply wire.Reply) bool { return strings.Contains(string(reply.Body), "token") }
	ask := func() error {
		_, err := c.Do(t.Context(), wire.Request{Path: "info", Header: http.Header{"Token": {"other"}}})
		return err
	}
	if err := ask(); !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
	m.Set("info", "{}")
	if err := errors.Join(ask(), ask()); err != nil {
		t.Error(err)
	}
	m.Set("info", `{"error":"token"}`)
	token = "two"
	if err := ask(); !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
	if diff := cmp.Diff([]string{"one", "one", "one", "one", "two"}, sent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, token = range []string{"", "a b", "a\r\nb", "é", strings.Repeat("x", 4097)} {
		if err := ask(); !errors.Is(err, miner.ErrNotThisFirmware) {
			t.Errorf("%.5q: error %v", token, err)
		}
	}
	if len(sent) != 5 {
		t.Error("what is no token was sent")
	}
}

// A request that is given up while its connection is being opened leaves none behind where the caller only passes by.
func TestPassingKeepsNothing(t *testing.T) {
	near, far := net.Pipe()
	dialling, free := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(wire.WithDialer(wire.Passing(t.Context()), func(context.Context, string, string) (net.Conn, error) {
		close(dialling)
		<-free
		return near, nil
	}))
	gone := make(chan error, 1)
	c := &wire.Client{Address: netip.MustParseAddrPort("192.0.2.1:4028"), Root: "/"}
	go func() {
		_, err := c.Exchange(ctx, wire.Request{Path: "summary"})
		gone <- err
	}()
	<-dialling
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is no context.Canceled", err)
	}
	close(free)
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second)) // only a connection that is kept waits for it
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection stays: %v", err)
	}
}

// What an address is asked in passing ends its connection.
func TestPassingSaysSo(t *testing.T) {
	m := &wiretest.Machine{Root: "/api/", Replies: map[string]string{"info": "{}"}}
	var closes []bool
	m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		closes = append(closes, r.Close)
		return false
	}
	c := clientOf(wiretest.Serve(t, m))
	for _, ctx := range []context.Context{t.Context(), wire.Passing(t.Context())} {
		if _, err := c.Do(ctx, wire.Request{Path: "info"}); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]bool{false, true}, closes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A machine that is busy may say when to come back, in seconds; what else it says there is nothing.
func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"30": 30 * time.Second, " 5 ": 5 * time.Second, "65535": time.Hour, "": -1, "-1": -1, "x": -1, "99999999999": -1} {
		target := wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		c := clientOf(target)
		_, err := c.Do(t.Context(), wire.Request{Path: "x"})
		after, ok := miner.RetryAfter(err)
		if !errors.Is(err, miner.ErrBusy) || !miner.NotApplied(err) || ok != (want >= 0) || ok && after != want {
			t.Errorf("%q: %s, %v, %v", header, after, ok, err)
		}
	}
}
