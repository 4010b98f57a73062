package luxos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// request is the whole of what is sent.
type request struct {
	Command   string `json:"command"`
	Parameter string `json:"parameter,omitempty"`
}

// client speaks the RPC of one machine, one request per connection.
type client struct {
	address netip.AddrPort
}

// exchange sends one command and returns the bytes of its reply.
func (c *client) exchange(ctx context.Context, command, parameter string) ([]byte, error) {
	line, err := json.Marshal(request{Command: command, Parameter: parameter})
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", c.address, command, err)
	}
	return wire.Exchange(ctx, c.address, command, append(line, '\n'), wire.ReadReply)
}

// ask sends one command and judges its STATUS.
func (c *client) ask(ctx context.Context, command, parameter string) (reply, error) {
	data, err := c.exchange(ctx, command, parameter)
	if err != nil {
		return reply{}, err
	}
	var r reply
	if err := wire.Decode(data, &r); err != nil {
		return reply{}, fmt.Errorf("%s: %s: %w", c.address, command, err)
	}
	status := r.Status.First()
	if status.OK() {
		return r, nil
	}
	code, _ := status.Code.Int()
	return r, &refusal{
		address: c.address, command: command,
		sure: status.No(), code: code, message: cmp.Or(string(status.Message), "no message"),
	}
}

// refusal is a reply whose STATUS is no yes.
type refusal struct {
	address netip.AddrPort
	command string
	sure    bool // it is a no, and not something else
	code    int64
	message string
}

// Error leaves out the parameter: it holds the session.
func (r *refusal) Error() string {
	text := fmt.Sprintf("%s: %s: code %d %q", r.address, r.command, r.code, r.message)
	if kind := r.Unwrap(); kind != nil {
		text += ": " + kind.Error()
	}
	return text
}

// sessionLife is how long a session lives on that nobody uses, by the vendor's word.
const sessionLife = time.Minute

// Unwrap tells a session held by somebody else from a plain no. A reply that is neither yes nor no says
// nothing about what the machine did.
func (r *refusal) Unwrap() error {
	switch {
	case r.code == codeBusy:
		return &miner.Busy{After: sessionLife}
	case r.sure:
		return miner.ErrRefused
	}
	return nil
}
