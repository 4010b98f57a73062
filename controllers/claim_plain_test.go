package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// plainly is what an agent holds after a claim, found by asking every agent for every span.
func (l *links) plainly(a *agentLink, wanted []string) holding {
	h := a.holding
	spans, err := parseSpans(wanted)
	if err != nil || h.whole && slices.Equal(h.wanted, wanted) {
		return h
	}
	var kept []span
	extra := without(h.spans, spans)
	for _, o := range l.table {
		at, known := o.issuer.Heard()
		if o.pool != a.pool || known && o.stop != nil && l.clock().Sub(at) < silent {
			continue
		}
		for _, s := range spansOf(o.asked) {
			next := []span{s}
			kept = append(kept, without(next, without(next, extra))...)
		}
	}
	left := slices.Concat(spans, joined(kept))
	for _, other := range l.table {
		if other != a {
			left = without(left, other.holding.spans)
		}
	}
	h.wanted, h.whole = wanted, len(kept) == 0 && size(left) == size(spans)
	if !slices.Equal(h.told, left) {
		h.told, h.spans = left, slices.Concat(h.spans, left)
	}
	return h
}

func without(a, b []span) []span {
	for _, cut := range b {
		var out []span
		for _, s := range a {
			if !s.meets(cut) {
				out = append(out, s)
				continue
			}
			if s.first.Less(cut.first) {
				out = append(out, span{s.first, cut.first.Prev()})
			}
			if cut.last.Less(s.last) {
				out = append(out, span{cut.last.Next(), s.last})
			}
		}
		a = out
	}
	return a
}

// claims are agents of two pools that claim whatever they like, a pass after the other.
type claims struct {
	*rapid.T
	now    time.Time
	links  *links
	agents []*agentLink
}

func (c *claims) draws(label string, of int) int { return rapid.IntRange(0, of).Draw(c.T, label) }

// ranges are of up to three blocks each, and seldom overlap.
func (c *claims) ranges() (out []string) {
	at := c.draws("at", 250)
	for range c.draws("ranges", 3) {
		last := at + rapid.SampledFrom([]int{0, 1, 5, 40, 140}).Draw(c.T, "more")
		out = append(out, span{nth(at), nth(last)}.String())
		at = last + c.draws("gap", 9)
	}
	return out
}

// changes is what may happen to an agent between two passes.
func (c *claims) changes(a *agentLink) {
	switch c.draws("change", 5) {
	case 0:
		a.asked = c.ranges()
	case 1:
		a.stop = nil
	case 2:
		a.stop, a.holding = nil, holding{}
	case 3, 4:
		a.stop = func() {}
		_, err := a.issuer.Report(c.now, lease.Report{Epoch: 1, Run: 1, Generation: uint64(c.draws("behind", 1)), AsOf: c.now.Sub(epochStart)})
		if err != nil {
			c.Fatal(err)
		}
		if a.issuer.Settled() {
			a.holding.spans = a.holding.told
		}
	}
}

// TestClaimsArePlain compares what is looked up with what asking everybody answers.
// Rule: L9.
func TestClaimsArePlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &claims{T: t, now: epochStart}
		c.links = &links{table: map[string]*agentLink{}, clock: func() time.Time { return c.now }}
		for i := range 2 + c.draws("agents", 4) {
			a := &agentLink{issuer: lease.NewIssuer(1), asked: c.ranges()}
			a.key, a.pool = fmt.Sprint(i), types.NamespacedName{Name: fmt.Sprint("pool-", i%4/3)}
			a.issuer.Assign(lease.Assignment{}, sameAssignment)
			a.holding.spans = spansOf(c.ranges()) // by a former leader
			c.agents, c.links.table[a.key] = append(c.agents, a), a
		}
		for range 5 {
			c.now = c.now.Add(silent / 2)
			for _, a := range c.agents {
				c.changes(a)
			}
			c.links.near, c.links.absent = nil, nil
			for _, a := range c.agents {
				c.claim(a)
			}
		}
	})
}

func (c *claims) claim(a *agentLink) {
	want := c.links.plainly(a, a.asked)
	texts := textsOf(want.told)
	if _, err := parseSpans(a.asked); err != nil {
		texts = nil
	} else if want.whole {
		texts = a.asked
	}
	got := c.links.claim(a, a.asked)
	if diff := cmp.Diff(texts, got); diff != "" {
		c.Fatalf("agent %s is told otherwise: %s", a.key, diff)
	}
	same := cmp.Comparer(func(x, y span) bool { return x == y })
	if diff := cmp.Diff(want, a.holding, cmp.AllowUnexported(holding{}), same); diff != "" {
		c.Fatalf("agent %s holds something else: %s", a.key, diff)
	}
}
