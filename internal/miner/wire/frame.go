package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Errors of a reply that can't be used.
var (
	// ErrTooLarge: the reply went over MaxReply or MaxDepth.
	ErrTooLarge = errors.New("reply too large")
	// ErrTruncated: the machine closed, or fell silent, in the middle of a reply.
	ErrTruncated = errors.New("reply cut short")
)

// ReadReply reads one JSON reply from r, which some firmwares end with NUL, some by closing, and some
// not at all: it stops at NUL, else at a complete JSON object or array, else at the end of r. A newline
// never ends it. What follows the reply is left unread. Deadlines are the caller's.
func ReadReply(r io.Reader) ([]byte, error) {
	var reply []byte
	var scan scanner
	chunk := make([]byte, 4096)
	for {
		n, err := r.Read(chunk)
		for i, c := range chunk[:n] {
			if c == 0 && scan.started {
				return finish(append(reply, chunk[:i]...), &scan)
			}
			if scan.step(c); scan.depth > MaxDepth {
				return nil, fmt.Errorf("nested deeper than %d: %w", MaxDepth, ErrTooLarge)
			}
			if scan.complete {
				return finish(append(reply, chunk[:i+1]...), &scan)
			}
		}
		reply = append(reply, chunk[:n]...)
		switch {
		case len(reply) > MaxReply:
			return nil, fmt.Errorf("more than %d bytes: %w", MaxReply, ErrTooLarge)
		case errors.Is(err, io.EOF):
			return finish(reply, &scan)
		case err != nil:
			return nil, fmt.Errorf("reading the reply: %w", err)
		}
	}
}

func finish(reply []byte, scan *scanner) ([]byte, error) {
	reply = bytes.Trim(reply, "\x00 \t\r\n")
	switch {
	case len(reply) == 0:
		return nil, fmt.Errorf("nothing was sent: %w", ErrTruncated)
	case len(reply) > MaxReply:
		return nil, fmt.Errorf("more than %d bytes: %w", MaxReply, ErrTooLarge)
	case !scan.complete:
		return nil, ErrTruncated
	}
	return reply, nil
}

// scanner follows just enough of JSON to know where an object or array ends.
type scanner struct {
	depth    int
	inString bool
	escaped  bool
	started  bool
	complete bool
}

func (s *scanner) step(c byte) {
	switch {
	case s.inString:
		s.within(c)
	case c == '"' && s.depth > 0:
		s.inString = true
	case c == '{' || c == '[':
		s.started = true
		s.depth++
	case (c == '}' || c == ']') && s.depth > 0:
		s.depth--
		s.complete = s.depth == 0
	}
}

// within is one byte of a string.
func (s *scanner) within(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.inString = false
	}
}
