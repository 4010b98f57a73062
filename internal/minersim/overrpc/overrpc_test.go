package overrpc_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

// exchange sends pieces one after the other and returns the reply; end tells to stop sending then.
func exchange(t *testing.T, end bool, pieces ...string) (string, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		overrpc.ServeOne(c, func(r overrpc.Request, err error) []byte {
			switch {
			case r.Command == "cut":
				return nil
			case err != nil:
				return []byte("bad")
			case r.NewAPI:
				return []byte(r.Command + " new")
			}
			return []byte(r.Command)
		})
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, p := range pieces {
		if _, err := c.Write([]byte(p)); err != nil {
			return "", err
		}
	}
	if end {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	out, err := io.ReadAll(c)
	return string(out), err
}

func TestFraming(t *testing.T) {
	for want, pieces := range map[string][]string{
		"a\x00":     {`{"command":"a"}`},
		"b\x00":     {`{"comm`, `and":"b"}`},
		"c\x00":     {`{"command":"c"}` + "\n" + `{"command":"x"}`},
		"d\x00":     {`{"command":"d"}` + "\x00"},
		"e new\x00": {`{"command":"e","new_api":true}`},
		"f\x00":     {`{"command":"f","parameter":{"new_api":true}}`},
		"bad\x00":   {"nonsense\n"},
	} {
		if got, err := exchange(t, false, pieces...); got != want || err != nil {
			t.Errorf("%q: %q %v", pieces, got, err)
		}
	}
	if got, err := exchange(t, true, `{"command":`); got != "bad\x00" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if got, err := exchange(t, true); got != "" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if got, err := exchange(t, false, `{"command":"cut"}`); err == nil {
		t.Errorf("not cut but %q", got)
	}
	if got, err := exchange(t, true, strings.Repeat(" ", 16<<10)); got != "bad\x00" && err == nil {
		t.Errorf("%q %v", got, err)
	}
}

// FuzzRequest: whatever is sent, there is one reply and the end.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{`{"command":"a"}`, "\n", "\x00", `{"command":1}`, "[[[[", strings.Repeat("[", 9000), `{"command":"cut"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, request string) {
		got, err := exchange(t, true, request)
		if err == nil && got != "" && !strings.HasSuffix(got, "\x00") {
			t.Errorf("%q: %q", request, got)
		}
	})
}
