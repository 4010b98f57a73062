package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// maxSplits bounds how many edits of a pool's addresses may be under way at once; the next waits.
const maxSplits = 8

// splits are the ways in which agents may mind the addresses of each pool, newest last. A way is written to
// the pool's status before the first agent hears of it, and goes once every agent took up the newest: so
// the next leader knows what an agent may command that it can't reach (L9).
type splits map[types.UID][]split

// split is one way, with the addresses of each slot.
type split struct {
	powerv1.MinerPoolSplit
	shards [][]string
}

// resplit is a pool whose spec asks for another split than its agents were told.
type resplit struct {
	pool *powerv1.MinerPool
	want split
}

// splitOf is what a pool's spec asks for.
func splitOf(p *powerv1.MinerPool) powerv1.MinerPoolSplit {
	return powerv1.MinerPoolSplit{
		Addresses:       p.Spec.Devices.Addresses,
		DevicesPerAgent: powerv1.OrZero(p.Spec.DevicesPerAgent, powerv1.DefaultDevicesPerAgent),
	}
}

// newSplit fails where the addresses can't be read.
func newSplit(s powerv1.MinerPoolSplit) (split, error) {
	spans, err := parseSpans(s.Addresses)
	if err != nil {
		return split{}, err
	}
	return split{s, shards(spans, int(s.DevicesPerAgent))}, nil
}

func (s *split) is(o powerv1.MinerPoolSplit) bool {
	return s.DevicesPerAgent == o.DevicesPerAgent && slices.Equal(s.Addresses, o.Addresses)
}

// recalled reads back what a pool's status says; only what can be read was ever written.
func recalled(list []powerv1.MinerPoolSplit) (out []split) {
	for i := range list {
		s, err := newSplit(list[i])
		if err != nil {
			s = split{MinerPoolSplit: list[i]}
		}
		out = append(out, s)
	}
	return out
}

// earlier is what slot n had by any split but the newest.
func earlier(list []split, n int) (addresses []string) {
	for i := range max(0, len(list)-1) {
		if shards := list[i].shards; n < len(shards) {
			addresses = append(addresses, shards[n]...)
		}
	}
	return addresses
}

// spansOf reads addresses that were read before; they may overlap.
func spansOf(addresses []string) (out []span) {
	for _, text := range addresses {
		if s, err := parseSpan(text); err == nil {
			out = append(out, s)
		}
	}
	return out
}

// resplit writes down how addresses are split before any agent is told, and forgets the splits that no
// agent goes by any more. Agents hear of it in the next pass.
func (r *SiteReconciler) resplit(ctx context.Context, s *snapshot) error {
	var errs []error
	there := map[types.UID]bool{}
	for i := range s.pools {
		p := &s.pools[i]
		there[p.UID] = true
		if known := r.splits[p.UID]; len(known) > 1 && r.links.taken(client.ObjectKeyFromObject(p)) {
			errs = append(errs, r.writeSplits(ctx, p, known[len(known)-1:]))
		}
	}
	for _, c := range s.resplit {
		if known := r.splits[c.pool.UID]; len(known) < maxSplits {
			errs = append(errs, r.writeSplits(ctx, c.pool, append(slices.Clone(known), c.want)))
		}
	}
	maps.DeleteFunc(r.splits, func(pool types.UID, _ []split) bool { return !there[pool] })
	return errors.Join(errs...)
}

// waits tells whether a pool's newest edit has to wait for earlier ones: every one that is under way has
// agents that may go by it.
func (s *snapshot) waits(p *powerv1.MinerPool) bool {
	known := s.splits[p.UID]
	return len(known) >= maxSplits && slices.ContainsFunc(s.resplit, func(c resplit) bool {
		return c.pool.UID == p.UID && !known[len(known)-1].is(c.want.MinerPoolSplit)
	})
}

// agentsAsked is how many agents a pool's newest edit asks for, in force or not: so many pods are there, or come.
func (s *snapshot) agentsAsked(of slotsOf) int {
	for i := range s.resplit {
		if s.resplit[i].pool.UID == of.pool.UID {
			return len(s.resplit[i].want.shards)
		}
	}
	return len(of.shards)
}

// writeSplits writes a pool's splits if nobody has written to it since it was read.
func (r *SiteReconciler) writeSplits(ctx context.Context, p *powerv1.MinerPool, list []split) error {
	next := p.DeepCopy()
	next.Status.Splits = nil
	for i := range list {
		next.Status.Splits = append(next.Status.Splits, list[i].MinerPoolSplit)
	}
	err := r.Status().Patch(ctx, next, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // the next pass sees what it is now
	case err != nil:
		return fmt.Errorf("writing the splits of MinerPool %s/%s: %w", p.Namespace, p.Name, err)
	}
	// Whoever takes the Lease from now on reads what was written. One that has it already may have read the pools
	// before, where the Lease was deleted (L9).
	if _, err := r.Leader.Read(ctx); err != nil {
		return fmt.Errorf("telling the splits of MinerPool %s/%s: %w", p.Namespace, p.Name, err)
	}
	r.splits[p.UID] = list
	r.wake()
	return nil
}
