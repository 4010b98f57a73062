package braiins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// exchangeTimeout bounds one request and its reply.
const exchangeTimeout = 8 * time.Second

// transport is shared by all drivers of this package: one kept connection per machine, no proxy, and
// nothing that outlives the machine's silence for long.
var transport = &http.Transport{
	DialContext:            wire.Dial,
	MaxIdleConnsPerHost:    1,
	MaxConnsPerHost:        2,
	IdleConnTimeout:        30 * time.Second,
	MaxResponseHeaderBytes: 16 << 10,
	DisableCompression:     true,
	ReadBufferSize:         4 << 10,
	WriteBufferSize:        1 << 10,
}

// httpClient follows no redirect: it would carry the token elsewhere.
var httpClient = &http.Client{
	Transport:     transport,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// client speaks REST to one machine and keeps its token.
type client struct {
	address            netip.AddrPort
	username, password string
	token              string
}

// get reads one resource.
func (c *client) get(ctx context.Context, path string, out any) error {
	body, err := c.authorized(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return c.decode(path, body, out)
}

// put writes one resource; out may be nil. A connection lost on the way, which is how a kept one that the
// machine closed looks, is no failure yet: every PUT of this driver names an absolute state, so it is
// sent once more.
func (c *client) put(ctx context.Context, path string, in, out any) error {
	body, err := c.authorized(ctx, http.MethodPut, path, in)
	if lost(err) && ctx.Err() == nil {
		first := err
		if body, err = c.authorized(ctx, http.MethodPut, path, in); err != nil {
			// The first attempt may have arrived, so no error that says otherwise may shine through.
			return fmt.Errorf("%s: %s: %v, and again: %v: read the machine before assuming anything",
				c.address, path, first, err) //nolint:errorlint // see above
		}
	}
	if err == nil && out != nil {
		_ = wire.Decode(body, out) // the status said yes; what the body adds is a courtesy
	}
	return err
}

func (c *client) decode(path string, body []byte, out any) error {
	if err := wire.Decode(body, out); err != nil {
		return fmt.Errorf("%s: %s: %w", c.address, path, err)
	}
	return nil
}

// lost is a request that may have arrived and got no answer, other than by running out of time.
func lost(err error) bool {
	var status *statusError
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil, errors.As(err, &status), miner.NotApplied(err), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &timeout) && timeout.Timeout():
		return false
	}
	return true
}

// authorized sends a request with the token, and once more with a fresh one where the machine says 401:
// tokens die after an hour of silence and with every restart of the machine.
func (c *client) authorized(ctx context.Context, method, path string, in any) ([]byte, error) {
	fresh := c.token == ""
	if fresh {
		if err := c.login(ctx); err != nil {
			return nil, err
		}
	}
	status, body, err := c.exchange(ctx, method, path, c.token, in)
	if err == nil && status == http.StatusUnauthorized && !fresh {
		if err := c.login(ctx); err != nil {
			return nil, err
		}
		status, body, err = c.exchange(ctx, method, path, c.token, in)
	}
	if err != nil {
		return nil, err
	}
	return body, c.verdict(method, path, status)
}

// login fetches a token. It changes nothing on the machine.
func (c *client) login(ctx context.Context) error {
	c.token = ""
	in := map[string]string{"username": c.username, "password": c.password}
	status, body, err := c.exchange(ctx, http.MethodPost, "auth/login", "", in)
	if err != nil {
		return err
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("%s: login as %q: HTTP %d: %w: set username and password of the pool's credentials secret",
			c.address, c.username, status, miner.ErrUnauthorized)
	case status/100 == 5, status == http.StatusTooManyRequests:
		return fmt.Errorf("%s: login: HTTP %d: %w: try again later", c.address, status, miner.ErrRefused)
	case status/100 != 2:
		return fmt.Errorf("%s: login: HTTP %d: %w: no Braiins OS REST API here (it needs 25.07 or later)",
			c.address, status, miner.ErrNotThisFirmware)
	}
	var reply session
	if wire.Decode(body, &reply) != nil || reply.Token == "" {
		return fmt.Errorf("%s: login gave no token: %w", c.address, miner.ErrNotThisFirmware)
	}
	c.token = string(reply.Token)
	return nil
}

// statusError is an answer that is no 2xx.
type statusError struct {
	text string
	kind error // nil where the machine may or may not have done what was asked
}

func (e *statusError) Error() string { return e.text }
func (e *statusError) Unwrap() error { return e.kind }

// answered says whether the machine let us in and answered, if not with what was asked for.
func answered(err error) bool {
	var status *statusError
	return errors.As(err, &status) && !errors.Is(err, miner.ErrUnauthorized)
}

// verdict turns a status into an error.
func (c *client) verdict(method, path string, status int) error {
	var kind error
	switch {
	case status/100 == 2:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		kind = miner.ErrUnauthorized
	case status/100 == 3, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		kind = miner.ErrUnsupported
	case status/100 == 4:
		kind = miner.ErrRefused
	}
	text := fmt.Sprintf("%s: %s %s: HTTP %d", c.address, method, path, status)
	if kind != nil {
		text += ": " + kind.Error()
	}
	return &statusError{text: text, kind: kind}
}

// exchange is one request and its reply.
func (c *client) exchange(ctx context.Context, method, path, token string, in any) (int, []byte, error) {
	status, _, body, err := c.exchangeHeader(ctx, method, path, token, in)
	return status, body, err
}

func (c *client) exchangeHeader(ctx context.Context, method, path, token string, in any) (
	int, http.Header, []byte, error,
) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	var content io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("%s: %s: %w", c.address, path, err)
		}
		content = bytes.NewReader(encoded)
	}
	url := "http://" + c.address.String() + "/api/v1/" + path
	request, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s: %s: %w", c.address, path, err)
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", token) // the bare token: no "Bearer"
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s: %w", c.address, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, wire.MaxReply+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s: %s: reading the reply: %w", c.address, path, err)
	}
	if len(body) > wire.MaxReply {
		return 0, nil, nil, fmt.Errorf("%s: %s: %w", c.address, path, wire.ErrTooLarge)
	}
	return response.StatusCode, response.Header, body, nil
}
