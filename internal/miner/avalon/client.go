package avalon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Codes of cgminer that mean more than yes or no.
const (
	codeInvalid = 14
	codeDenied  = 45
)

// client speaks the RPC of one machine, one request per connection and one connection at a time: the
// firmware serves no two at once.
type client struct {
	address netip.AddrPort
	// text is set once the machine was found to answer JSON with text.
	text bool
}

// request in the one form or the other.
func (c *client) request(command, parameter string) ([]byte, error) {
	if !c.text {
		line, err := json.Marshal(struct {
			Command   string `json:"command"`
			Parameter string `json:"parameter,omitempty"`
		}{command, parameter})
		return append(line, '\n'), err
	}
	if parameter == "" {
		return []byte(command), nil
	}
	return []byte(command + "|" + parameter), nil
}

// exchange sends one command and returns its reply as JSON, and as it came.
func (c *client) exchange(ctx context.Context, command, parameter string) (reply, []byte, error) {
	line, err := c.request(command, parameter)
	if err != nil {
		return reply{}, nil, fmt.Errorf("%s: %s: %w", c.address, command, err)
	}
	data, err := wire.Exchange(ctx, c.address, command, line, readReply)
	if err != nil {
		return reply{}, nil, err
	}
	body := data
	if isText(data) {
		body = jsonOf(data)
	}
	var r reply
	if err := wire.Decode(body, &r); err != nil {
		return reply{}, nil, fmt.Errorf("%s: %s: %w", c.address, command, err)
	}
	return r, data, nil
}

// ask reads something and judges its STATUS. A machine that answers in text is asked in text from then on.
func (c *client) ask(ctx context.Context, command string) (reply, error) {
	r, data, err := c.exchange(ctx, command, "")
	if err == nil && !c.text && isText(data) {
		c.text = true
		if !r.Status.First().OK() {
			r, _, err = c.exchange(ctx, command, "")
		}
	}
	if err != nil {
		return reply{}, err
	}
	return r, c.verdict(command, r)
}

// set sends one ascset to the first device.
func (c *client) set(ctx context.Context, parameter string) ([]byte, error) {
	r, data, err := c.exchange(ctx, "ascset", "0,"+parameter)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(parameter, ",")
	return data, c.verdict("ascset "+name, r)
}

// verdict is nil where the reply says yes.
func (c *client) verdict(command string, r reply) error {
	status := r.Status.First()
	message := strings.ToLower(string(status.Message))
	if status.OK() && !failed(message) {
		return nil
	}
	code, _ := status.Code.Int()
	no := &refusal{address: c.address, command: command, code: code, message: string(status.Message)}
	switch {
	case !status.No(): // neither yes nor no, or a yes whose words say no
	case code == codeDenied:
		no.kind = miner.ErrUnauthorized
	case code == codeInvalid || strings.Contains(message, "unknown option"):
		no.kind = miner.ErrUnsupported
	default:
		no.kind = miner.ErrRefused
	}
	return no
}

// failed says that a message is a no, whatever letter it comes with. The firmware writes what went wrong into
// the same place as what was asked for.
func failed(message string) bool {
	for _, word := range []string{"error", "fail", "not support", "permit", "unknown", "invalid", "missing"} {
		if strings.Contains(message, word) {
			return true
		}
	}
	return false
}

// refusal is a reply that is no yes.
type refusal struct {
	address netip.AddrPort
	command string
	code    int64
	message string
	// kind is one of miner's errors where the machine surely did nothing, else nil.
	kind error
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%s: %s: code %d %q", r.address, r.command, r.code, r.message)
	if r.kind != nil {
		text += ": " + r.kind.Error()
	}
	return text
}

func (r *refusal) Unwrap() error { return r.kind }

// silent forgives a machine that is there and does not give what can be done without.
func silent(err error) bool {
	var no *refusal
	return errors.As(err, &no) || wire.Unreadable(err)
}

// textStart begins every reply in text.
const textStart = "STATUS="

func isText(data []byte) bool { return bytes.HasPrefix(data, []byte(textStart)) }

// maxNoise bounds what is skipped before a reply.
const maxNoise = 64

// readReply reads one reply: JSON as wire.ReadReply does, text up to NUL or close, as brackets end nothing
// there. What is neither is not waited for.
func readReply(r io.Reader) ([]byte, error) {
	in := bufio.NewReader(r)
	first, err := in.Peek(1)
	for range maxNoise {
		if err != nil || !bytes.ContainsAny(first, "\x00 \t\r\n") {
			break
		}
		_, _ = in.Discard(1)
		first, err = in.Peek(1)
	}
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("nothing was sent: %w", wire.ErrTruncated)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the reply: %w", err)
	}
	if first[0] == '{' || first[0] == '[' {
		return wire.ReadReply(in)
	}
	return readText(in)
}

func readText(in *bufio.Reader) ([]byte, error) {
	start, err := in.Peek(len(textStart))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the reply: %w", err)
	}
	if !isText(start) {
		return nil, fmt.Errorf("no reply of cgminer: %w", wire.ErrTruncated)
	}
	data, err := bufio.NewReader(io.LimitReader(in, wire.MaxReply+1)).ReadBytes(0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the reply: %w", err)
	}
	if len(data) > wire.MaxReply {
		return nil, fmt.Errorf("more than %d bytes: %w", wire.MaxReply, wire.ErrTooLarge)
	}
	return bytes.Trim(data, "\x00 \t\r\n"), nil
}
