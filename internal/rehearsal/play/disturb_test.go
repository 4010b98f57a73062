package play

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
)

// answering answers a signal with what it holds.
type answering struct{ err error }

func (a answering) Signal(syscall.Signal) error { return a.err }
func (answering) Start() error                  { return nil }
func (answering) Halt() error                   { return nil }

func TestWhatHasEndedNeedsNoKilling(t *testing.T) {
	cases := map[string]struct {
		err error
		ok  bool
	}{
		"running": {nil, true}, "ended": {fmt.Errorf("operator-0: %w", proc.ErrEnded), true}, "not ours": {errors.New("no right"), false},
	}
	for name, c := range cases {
		if err := kill(answering{c.err}); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
		g := &stage{}
		if err := g.do(t.Context(), "pause", answering{c.err}); (err == nil) != (c.err == nil) {
			t.Errorf("pausing, %s: got %v", name, err)
		}
	}
}
