package wire

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// exchangeTimeout bounds one request and its reply, where a client has no Patience of its own.
const exchangeTimeout = 8 * time.Second

// Client speaks HTTP to one machine. Only Address must be set.
type Client struct {
	Address netip.AddrPort
	// Secure is HTTPS, over Veiled where there is no other RoundTripper.
	Secure bool
	// Root stands before every path that begins with no slash.
	Root string
	// RoundTripper is Transport where it is nil; one that signs requests (HTTP Digest) wraps Transport.
	RoundTripper http.RoundTripper
	// Kinds is what a status means to this firmware, where it is not the usual; nil is "may have been done".
	Kinds map[int]error
	// Patience bounds one request and its reply; 0 is eight seconds.
	Patience time.Duration
	// Judge is what a reply says against its request in the firmware's own words, whatever its status, and
	// what that means (nil is "may have been done"); "" leaves it to the status.
	Judge func(Reply) (why string, kind error)

	// Login fetches a token, by Exchange, and changes nothing on the machine. Nil where there are no tokens.
	Login func(ctx context.Context) (token string, err error)
	// Show puts the token into a request's header.
	Show func(header http.Header, token string)
	// Refused says whether a reply refuses the token; nil is a status of 401.
	Refused func(Reply) bool

	token string
}

// Request is what a machine is asked.
type Request struct {
	Method string // "" is GET
	Path   string // with its query; below the client's Root where it begins with no slash; never a secret
	Header http.Header
	// Body is sent as JSON, but []byte is sent as it is, under the Content-Type of Header; nil sends none.
	Body any
	// Open goes without the token, and without a login for one.
	Open bool
}

// Reply is what a machine answered, whole.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// OK says whether the status is a 2xx.
func (r Reply) OK() bool { return r.Status/100 == 2 }

// Get reads one resource.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	reply, err := c.Do(ctx, Request{Path: path})
	if err != nil {
		return err
	}
	return c.Decode(path, reply, out)
}

// Decode reads a reply's JSON, with fields of unexpected types left out.
func (c *Client) Decode(path string, reply Reply, out any) error {
	if err := Decode(reply.Body, out); err != nil {
		return fmt.Errorf("%s: %s: %w", c.Address, path, err)
	}
	return nil
}

// Command is Do for what may be said twice. A connection lost on the way, which is how a kept one that the
// machine closed looks, is no failure yet: it is sent once more.
func (c *Client) Command(ctx context.Context, request Request) (Reply, error) {
	reply, err := c.Do(ctx, request)
	if !Lost(err) || ctx.Err() != nil {
		return reply, err
	}
	first := err
	if reply, err = c.Do(ctx, request); err != nil {
		// The first attempt may have arrived, so no error that says otherwise may shine through.
		return Reply{}, fmt.Errorf("%s: %s: %v, and again: %v: read the machine before assuming anything",
			c.Address, request.Path, first, err) //nolint:errorlint // see above
	}
	return reply, nil
}

// Do sends a request with the token, where the firmware has any, and once more with a fresh one where the
// machine refuses it: tokens expire, and die with every restart of the machine. A status other than 2xx
// is a StatusError.
func (c *Client) Do(ctx context.Context, request Request) (Reply, error) {
	if c.Login == nil || request.Open {
		reply, err := c.Exchange(ctx, request)
		return c.judged(request, reply, err)
	}
	fresh := c.token == ""
	if fresh {
		if err := c.login(ctx); err != nil {
			return Reply{}, err
		}
	}
	reply, err := c.shown(ctx, request)
	if err == nil && c.refused(reply) && !fresh {
		if err := c.login(ctx); err != nil {
			return Reply{}, err
		}
		reply, err = c.shown(ctx, request)
	}
	return c.judged(request, c.disowned(reply, err), err)
}

// disowned forgets a token that is refused.
func (c *Client) disowned(reply Reply, err error) Reply {
	if err != nil || !c.refused(reply) {
		return reply
	}
	c.token = ""
	if reply.OK() { // this firmware says so in its own words
		reply.Status = http.StatusUnauthorized
	}
	return reply
}

func (c *Client) judged(request Request, reply Reply, err error) (Reply, error) {
	if err == nil && c.Judge != nil {
		if why, kind := c.Judge(reply); why != "" {
			err = c.refusal(request, reply.Status, why, kind)
		}
	}
	if err == nil {
		err = comeBack(c.Verdict(request, reply.Status), reply.Header)
	}
	if err != nil {
		return Reply{}, err
	}
	return reply, nil
}

// longestBusy bounds how long a machine may send anybody away.
const longestBusy = time.Hour

// comeBack puts into a refusal when the machine wants to be asked again, where it says so in seconds.
func comeBack(err error, header http.Header) error {
	refused, ok := errors.AsType[*StatusError](err)
	if !ok || !errors.Is(refused.Kind, miner.ErrBusy) {
		return err
	}
	seconds, wrong := strconv.ParseUint(strings.TrimSpace(header.Get("Retry-After")), 10, 16)
	if wrong == nil {
		refused.Kind = &miner.Busy{After: min(time.Duration(seconds)*time.Second, longestBusy)}
	}
	return err
}

// shown is an exchange with the token.
func (c *Client) shown(ctx context.Context, request Request) (Reply, error) {
	header := request.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	c.Show(header, c.token)
	request.Header = header
	return c.Exchange(ctx, request)
}

func (c *Client) refused(reply Reply) bool {
	if c.Refused == nil {
		return reply.Status == http.StatusUnauthorized
	}
	return c.Refused(reply)
}

func (c *Client) login(ctx context.Context) error {
	c.token = ""
	token, err := c.Login(ctx)
	if err != nil {
		return err
	}
	if !sendable(token) {
		return fmt.Errorf("%s: the login gave no token: %w", c.Address, miner.ErrNotThisFirmware)
	}
	c.token = token
	return nil
}

// Enter logs in, where there is a login and no token yet, ahead of what wants one.
func (c *Client) Enter(ctx context.Context) error {
	if c.Login == nil || c.token != "" {
		return nil
	}
	return c.login(ctx)
}

// longestToken is far above the 32 characters and the JWTs that were seen.
const longestToken = 4096

// sendable says whether a token can stand in a header.
func sendable(token string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	return token != "" && len(token) <= longestToken && !strings.ContainsFunc(token, odd)
}

// Exchange is one request and its whole reply, whatever its status, without a token.
func (c *Client) Exchange(ctx context.Context, r Request) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Patience, exchangeTimeout))
	defer cancel()
	request, err := c.request(ctx, r)
	if err != nil {
		return Reply{}, fmt.Errorf("%s: %s: %w", c.Address, r.Path, err)
	}
	response, err := c.http().Do(request)
	if err != nil {
		return Reply{}, fmt.Errorf("%s: %w", c.Address, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxReply+1))
	if err != nil {
		return Reply{}, fmt.Errorf("%s: %s: reading the reply: %w", c.Address, r.Path, err)
	}
	if len(body) > MaxReply {
		return Reply{}, fmt.Errorf("%s: %s: %w", c.Address, r.Path, ErrTooLarge)
	}
	return Reply{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// http follows no redirect: it would carry credentials elsewhere.
func (c *Client) http() *http.Client {
	client := &http.Client{
		Transport:     c.RoundTripper,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	switch {
	case client.Transport != nil:
	case c.Secure:
		client.Transport = Veiled
	default:
		client.Transport = Transport
	}
	return client
}

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	content, encoded := r.Body.([]byte)
	if !encoded && r.Body != nil {
		var err error
		if content, err = json.Marshal(r.Body); err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
	}
	path := r.Path
	if !strings.HasPrefix(path, "/") {
		path = c.Root + path
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(content)
	}
	scheme := "http://"
	if c.Secure {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, scheme+c.Address.String()+path, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	maps.Copy(request.Header, r.Header)
	if r.Body != nil && !encoded {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// StatusError is an answer that is no 2xx, or says no in its own words.
type StatusError struct {
	Status int
	// Kind is what the status means; nil where the machine may or may not have done what was asked.
	Kind error
	text string
}

func (e *StatusError) Error() string { return e.text }
func (e *StatusError) Unwrap() error { return e.Kind }

// Verdict turns a status into an error; nil for a 2xx. The body of an error is not shown: it may name
// credentials.
func (c *Client) Verdict(request Request, status int) error {
	if status/100 == 2 {
		return nil
	}
	kind, ok := c.Kinds[status]
	if !ok {
		kind = kindOf(status)
		if errors.Is(kind, miner.ErrUnauthorized) && c.Login != nil && !request.Open {
			kind = miner.ErrToken // whoever asks for what wants a token has logged in
		}
	}
	return c.refusal(request, status, fmt.Sprintf("HTTP %d", status), kind)
}

func (c *Client) refusal(request Request, status int, why string, kind error) error {
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	text := fmt.Sprintf("%s: %s %s: %s", c.Address, method, request.Path, why)
	if kind != nil {
		text += ": " + kind.Error()
	}
	return &StatusError{Status: status, Kind: kind, text: text}
}

func kindOf(status int) error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return miner.ErrUnauthorized
	case status == http.StatusTooManyRequests:
		return miner.ErrBusy
	case status/100 == 3, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return miner.ErrUnsupported
	case status/100 == 4:
		return miner.ErrRefused
	}
	return nil
}

// Answered says whether the machine let us in and answered, if not with what was asked for.
func Answered(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && !errors.Is(err, miner.ErrUnauthorized) && !errors.Is(err, miner.ErrBusy)
}

// OnlyIfSilent forgives a machine that answers but lacks a resource that a reading can do without.
func OnlyIfSilent(err error) error {
	if Answered(err) {
		return nil
	}
	return err
}

// Lost is a request that may have arrived and got no answer, other than by running out of time.
func Lost(err error) bool {
	var status *StatusError
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil, errors.As(err, &status), miner.NotApplied(err), errors.Is(err, ErrTooLarge),
		errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.As(err, &timeout) && timeout.Timeout():
		return false
	}
	return true
}
