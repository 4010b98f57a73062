package sealminer

import (
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

// Codes of the cgminer family that mean more than yes or no.
const (
	codeInvalid = 14
	codeDenied  = 45
)

// client speaks the RPC of one machine, one request per connection.
type client struct {
	address netip.AddrPort
}

// request is the whole of what is sent.
type request struct {
	Command   string `json:"command"`
	Parameter string `json:"parameter,omitempty"`
}

func (c *client) exchange(ctx context.Context, r request, read func(io.Reader) ([]byte, error)) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", c.address, r.Command, err)
	}
	return wire.Exchange(ctx, c.address, r.Command, append(line, '\n'), read)
}

// ask reads something and judges its STATUS.
func (c *client) ask(ctx context.Context, command string) (reply, error) {
	data, err := c.exchange(ctx, request{Command: command}, wire.ReadReply)
	if err != nil {
		return reply{}, err
	}
	return c.judge(command, data)
}

// set sends one ascset to the first device.
func (c *client) set(ctx context.Context, name, value string) error {
	parameter := "0," + name
	if value != "" {
		parameter += "," + value
	}
	data, err := c.exchange(ctx, request{Command: "ascset", Parameter: parameter}, wire.ReadReply)
	if err != nil {
		return err
	}
	_, err = c.judge("ascset "+name, data)
	return err
}

// restarting is what the family says to an order to restart, in JSON or as a bare word.
const restarting = "RESTART"

// restart begins mining anew. The answer is a word, and not always JSON.
func (c *client) restart(ctx context.Context) error {
	const command = "restart"
	data, err := c.exchange(ctx, request{Command: command}, readShort)
	if err != nil {
		return err
	}
	if strings.Trim(string(data), `{}[]":`) == restarting {
		return nil
	}
	r, err := c.judge(command, data)
	if r.Status.First().Letter == restarting {
		return nil
	}
	return err
}

// maxShort bounds an answer that need not be JSON.
const maxShort = 4096

// ends tells whether a short answer is whole.
func ends(data []byte) bool {
	switch last := data[len(data)-1]; last {
	case 0:
		return len(data) > 1
	case '}':
		return json.Valid(data)
	}
	return false
}

// readShort reads a short answer up to NUL, its end as JSON, or close.
func readShort(r io.Reader) ([]byte, error) {
	var data []byte
	one := make([]byte, 1)
	for len(data) < maxShort {
		n, err := r.Read(one)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading the reply: %w", err)
		}
		data = append(data, one[:n]...)
		if err != nil || n > 0 && ends(data) {
			break
		}
	}
	data = bytes.Trim(data, "\x00 \t\r\n")
	if len(data) == 0 {
		return nil, fmt.Errorf("nothing was sent: %w", wire.ErrTruncated)
	}
	return data, nil
}

// judge decodes a reply; the error is nil where it says yes.
func (c *client) judge(command string, data []byte) (reply, error) {
	var r reply
	if err := wire.Decode(data, &r); err != nil {
		return reply{}, fmt.Errorf("%s: %s: %w", c.address, command, err)
	}
	status := r.Status.First()
	if status.OK() {
		return r, nil
	}
	code, _ := status.Code.Int()
	no := &refusal{address: c.address, command: command, code: code, message: string(status.Message)}
	switch {
	case !status.No(): // says nothing about what was done
	case code == codeDenied:
		no.kind = miner.ErrUnauthorized
	case code == codeInvalid || strings.Contains(strings.ToLower(no.message), "unknown option"):
		no.kind = miner.ErrUnsupported
	default:
		no.kind = miner.ErrRefused
	}
	return r, no
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
