// Package meter measures a rehearsal, ten times a second, as a process of its own. It knows only true
// watts (what the simulated machines draw, what running pods draw, the base load) and the limits in force
// as they were written in PowerBudgets and CurtailmentEvents. It knows nothing of leases, reservations,
// margins or what the operator believes, and it judges nothing.
package meter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Sample is one look at every budget.
type Sample struct {
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
	// Missing says why there are no watts in this sample.
	Missing string             `json:"missing,omitempty"`
	Budgets map[string]Reading `json:"budgets,omitempty"`
}

// Reading is one budget's watts, those of the budgets below it included.
type Reading struct {
	// Parent of the budget; empty at a root.
	Parent string `json:"parent,omitempty"`
	// Limit in force; nil where nothing was written.
	Limit  *int64 `json:"limit,omitempty"`
	Base   int64  `json:"base"`
	Mining int64  `json:"mining"`
	AI     int64  `json:"ai"`
}

// Draw is all of it.
func (r Reading) Draw() int64 { return r.Base + r.Mining + r.AI }

// Over is by how much the draw is over the limit.
func (r Reading) Over() int64 {
	if r.Limit == nil {
		return 0
	}
	return max(0, r.Draw()-*r.Limit)
}

// Roots sums the budgets that have no parent; the limit is nil where one has none.
func (s Sample) Roots() Reading {
	var sum Reading
	limit := int64(0)
	whole := len(s.Budgets) > 0
	for _, r := range s.Budgets {
		if r.Parent != "" {
			continue
		}
		sum.Base += r.Base
		sum.Mining += r.Mining
		sum.AI += r.AI
		if r.Limit == nil {
			whole = false
			continue
		}
		limit += *r.Limit
	}
	if whole {
		sum.Limit = &limit
	}
	return sum
}

// Read calls take for every sample of a stream until it ends.
func Read(stream io.Reader, take func(Sample)) error {
	decoder := json.NewDecoder(stream)
	for {
		var s Sample
		err := decoder.Decode(&s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the meter's samples: %w", err)
		}
		take(s)
	}
}
