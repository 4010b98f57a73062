package simtest

import (
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Signing is a transport that answers a machine's question for name and password by HTTP Digest.
func Signing(username, password string) http.RoundTripper {
	return &digest.Transport{Username: username, Password: password, Transport: &http.Transport{}}
}

// Send makes one request the way a plain client does.
func Send(t *testing.T, client *http.Client, method, url, body string) (int, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, out, err
}

// Ask sends one command to a port that speaks as cgminer does, and reads until it is closed; nil where it is cut off.
func Ask(t *testing.T, at netip.AddrPort, request string) []byte {
	t.Helper()
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", at.String())
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(request)); err != nil {
		return nil
	}
	out, err := io.ReadAll(c)
	if err != nil {
		return nil
	}
	return out
}

// Near says that two numbers differ by no more than some percent and 10.
func Near(got, want, percent float64) bool { return math.Abs(got-want) <= 10+want*percent/100 }

// Draws checks what a machine truly draws after so long.
func Draws(t *testing.T, clock *Clock, d *minersim.Device, after time.Duration, want float64) {
	t.Helper()
	clock.Advance(after)
	if got := d.Watts(); !Near(got, want, 2) {
		t.Errorf("draws %.0f W %s later, want %.0f W", got, after, want)
	}
}
