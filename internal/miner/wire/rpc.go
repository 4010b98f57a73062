package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// ExchangeTimeout bounds one connection of an RPC: request and reply.
const ExchangeTimeout = 8 * time.Second

// Exchange sends one request over a connection of its own, as machines of the cgminer family want it, and
// returns what read makes of the reply. Errors call the request by name: what was sent may hold secrets.
func Exchange(ctx context.Context, address netip.AddrPort, name string, request []byte,
	read func(io.Reader) ([]byte, error),
) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, ExchangeTimeout)
	defer cancel()
	conn, err := Dial(ctx, "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	defer conn.Close()
	defer Bind(ctx, conn)()
	if _, err = conn.Write(request); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", address, name, Cause(ctx, err))
	}
	data, err := read(conn)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", address, name, Cause(ctx, err))
	}
	return data, nil
}

// Status is one STATUS entry of a reply of the cgminer family.
type Status struct {
	Letter      Text   `json:"STATUS"`
	When        Number `json:"When"` // Unix time, or seconds since the start
	Code        Number `json:"Code"`
	Message     Text   `json:"Msg"`
	Description Text   `json:"Description"`
}

// OK is "S" or "I"; warnings and errors are not, and neither is a reply without a letter.
func (s Status) OK() bool { return s.Letter == "S" || s.Letter == "I" }

// No is an error or a fatal error. What is neither OK nor No says nothing about what the machine did.
func (s Status) No() bool { return s.Letter == "E" || s.Letter == "F" }

// Statuses is STATUS as it comes: a list, one object, or a bare letter.
type Statuses []Status

// UnmarshalJSON never fails.
func (s *Statuses) UnmarshalJSON(data []byte) error {
	var list List[Status]
	_ = list.UnmarshalJSON(data)
	*s = Statuses(list)
	if len(list) > 0 {
		return nil
	}
	var letter Text
	if _ = letter.UnmarshalJSON(data); letter != "" {
		*s = Statuses{{Letter: letter}}
	}
	return nil
}

// First is the entry that counts, or an empty one.
func (s Statuses) First() Status { return List[Status](s).First() }

// Unreadable says that something answered which can't be used: another protocol, too much, or not all of it.
func Unreadable(err error) bool {
	var syntax *json.SyntaxError
	return errors.Is(err, ErrTruncated) || errors.Is(err, ErrTooLarge) || errors.As(err, &syntax)
}

// Foreign says of an unreadable answer that it is of another firmware.
func Foreign(err error) error {
	if Unreadable(err) {
		return fmt.Errorf("%w: %w", miner.ErrNotThisFirmware, err)
	}
	return err
}
