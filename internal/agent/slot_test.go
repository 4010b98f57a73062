package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestWhatAnswersAndWasNotMadeOutIsTold(t *testing.T) {
	broken := errors.New("reading the reply: connection reset")
	silent := fmt.Errorf("no connection: %w", miner.ErrUnreachable)
	f := failure{}
	for i, step := range []struct {
		err  error
		want string
	}{
		{silent, ""}, {context.DeadlineExceeded, ""}, {broken, reasonUnidentified}, {silent, reasonUnidentified},
		{fmt.Errorf("login: %w", miner.ErrUnauthorized), reasonUnauthorized}, {silent, ""},
	} {
		if f = f.unidentified(step.err); f.reason != step.want {
			t.Errorf("try %d: reason %q, want %q", i, f.reason, step.want)
		}
	}
}

func TestStrangersAreToldOfLast(t *testing.T) {
	a := &Agent{}
	for i := range maxTroubles + 5 {
		reason := reasonUnidentified
		if i > maxTroubles {
			reason = reasonBusy
		}
		a.slots = append(a.slots, &slot{addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), looking: failure{reason: reason}})
	}
	got := a.troubles(0)
	counts := map[string]int{}
	for _, one := range got {
		counts[one.Reason]++
	}
	first := lease.Trouble{Address: fmt.Sprintf("10.0.0.%d", maxTroubles+1), Reason: reasonBusy}
	if len(got) != maxTroubles || counts[reasonBusy] != 4 || got[0] != first {
		t.Errorf("%d troubles, %v, the first %v", len(got), counts, got[0])
	}
}
