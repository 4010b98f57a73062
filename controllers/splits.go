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
type splits map[types.UID][]powerv1.MinerPoolSplit

// resplit is a pool whose spec asks for another split than its agents were told.
type resplit struct {
	pool *powerv1.MinerPool
	want powerv1.MinerPoolSplit
}

// splitOf is what a pool's spec asks for; false where it can't be read.
func splitOf(p *powerv1.MinerPool) (powerv1.MinerPoolSplit, bool) {
	_, err := parseSpans(p.Spec.Devices.Addresses)
	return powerv1.MinerPoolSplit{
		Addresses:       p.Spec.Devices.Addresses,
		DevicesPerAgent: powerv1.OrZero(p.Spec.DevicesPerAgent, powerv1.DefaultDevicesPerAgent),
	}, err == nil
}

func sameSplit(a, b powerv1.MinerPoolSplit) bool {
	return a.DevicesPerAgent == b.DevicesPerAgent && slices.Equal(a.Addresses, b.Addresses)
}

// shardsOf is the addresses of each slot.
func shardsOf(s powerv1.MinerPoolSplit) [][]string {
	spans, err := parseSpans(s.Addresses)
	if err != nil {
		return nil // only what can be read is ever written
	}
	return shards(spans, int(s.DevicesPerAgent))
}

// earlier is the shards of every split but the newest.
func earlier(list []powerv1.MinerPoolSplit) (out [][][]string) {
	for i := range max(0, len(list)-1) {
		out = append(out, shardsOf(list[i]))
	}
	return out
}

// nth is what slot n had by any of the splits.
func nth(before [][][]string, n int) (addresses []string) {
	for _, shards := range before {
		if n < len(shards) {
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
	maps.DeleteFunc(r.splits, func(pool types.UID, _ []powerv1.MinerPoolSplit) bool { return !there[pool] })
	return errors.Join(errs...)
}

// writeSplits writes a pool's splits if nobody has written to it since it was read.
func (r *SiteReconciler) writeSplits(ctx context.Context, p *powerv1.MinerPool, list []powerv1.MinerPoolSplit) error {
	next := p.DeepCopy()
	next.Status.Splits = list
	err := r.Status().Patch(ctx, next, client.MergeFromWithOptions(p, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // the next pass sees what it is now
	case err != nil:
		return fmt.Errorf("writing the splits of MinerPool %s/%s: %w", p.Namespace, p.Name, err)
	}
	r.splits[p.UID] = list
	r.wake()
	return nil
}
