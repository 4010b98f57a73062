package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// rolledBack is how long nothing is admitted after the store was seen to have gone back in time.
const rolledBack = 5 * time.Minute

// lift is more than the API server's resourceVersions ever get to: epochs above those met are that far apart.
const lift = 1_000_000_000_000

// takeOver makes this process the leader of the ledger (L7), once: the epoch from the election's Lease
// and above every epoch met, the epoch stamped on every workload so that an older leader can write no
// more, and caches that are at least as new as an uncached list begun after that. It answers how long to wait
// before that: a leader whose Lease was deleted leads on, and what is made after the stamps it may write.
func (r *SiteReconciler) takeOver(ctx context.Context) (time.Duration, error) {
	if r.links != nil {
		return 0, nil
	}
	epoch, err := r.Leader.Read(ctx)
	if err != nil {
		return 0, fmt.Errorf("taking over: %w", err)
	}
	var claims powerv1.GPUWorkloadList
	if err := r.Live.List(ctx, &claims); err != nil {
		return 0, fmt.Errorf("taking over: listing GPU workloads: %w", err)
	}
	if wait := r.Leader.Alone().Sub(r.Clock()); wait > 0 {
		led, err := r.ledBefore(ctx, claims.Items)
		if err != nil || led {
			r.waits(ctx, wait)
			return wait, err
		}
	}
	return 0, r.lead(ctx, epoch, claims.Items)
}

// waits says once why nobody decides for now.
func (r *SiteReconciler) waits(ctx context.Context, wait time.Duration) {
	if until := r.Leader.Alone(); !until.Equal(r.waited) {
		r.waited = until
		log.FromContext(ctx).Info("The leader Lease was deleted or its holder taken out: whoever led may lead yet", "wait", wait)
	}
}

// ledBefore tells whether anybody has led this cluster's ledger: whoever did left its stamp on each workload, wrote how
// addresses are split before the first agent heard of it, and says in each budget what it made of it.
func (r *SiteReconciler) ledBefore(ctx context.Context, claims []powerv1.GPUWorkload) (bool, error) {
	for i := range claims {
		if met := uint64(claims[i].Status.Epoch); met != 0 && met != r.stamped {
			return true, nil
		}
	}
	var (
		pools   powerv1.MinerPoolList
		budgets powerv1.PowerBudgetList
	)
	for _, list := range []client.ObjectList{&pools, &budgets} {
		if err := r.Live.List(ctx, list); err != nil {
			return false, fmt.Errorf("taking over: listing %T: %w", list, err)
		}
	}
	return slices.ContainsFunc(pools.Items, func(p powerv1.MinerPool) bool { return len(p.Status.Splits) > 0 }) ||
		slices.ContainsFunc(budgets.Items, func(b powerv1.PowerBudget) bool { return b.Status.ReservedWatts != nil }), nil
}

// lead takes over once nobody else leads.
func (r *SiteReconciler) lead(ctx context.Context, epoch uint64, claims []powerv1.GPUWorkload) error {
	var err error
	if epoch, err = r.above(ctx, epoch, claims); err != nil {
		return err
	}
	r.stamped = epoch
	for i := range claims {
		if err := r.stamp(ctx, &claims[i], epoch); err != nil {
			return err
		}
	}
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	if err := r.recall(ctx); err != nil {
		return err
	}
	if err := r.Prepare(ctx); err != nil {
		return fmt.Errorf("taking over: %w", err)
	}
	r.epoch, r.inForce = epoch, nil
	r.links = newLinks(epoch, r.Stream, r.Clock, r.wake, r.outrank, log.FromContext(ctx).WithName("links"))
	log.FromContext(ctx).Info("Leading the ledger", "epoch", epoch, "workloads", len(claims))
	return nil
}

// above lifts the epoch above every one met. One that had to be lifted shows that the store went back in
// time: the Lease is read again, and nothing is admitted for a while.
func (r *SiteReconciler) above(ctx context.Context, epoch uint64, claims []powerv1.GPUWorkload) (uint64, error) {
	highest := r.met.Load()
	for i := range claims {
		met := uint64(claims[i].Status.Epoch)
		if met == r.stamped && met <= epoch {
			continue // by this very process, in a try that failed later
		}
		highest = max(highest, met)
	}
	if highest < epoch {
		return epoch, nil
	}
	if _, err := r.Leader.Read(ctx); err != nil {
		return 0, fmt.Errorf("taking over: %w", err)
	}
	r.hush = r.Clock().Add(rolledBack)
	log.FromContext(ctx).Info("The API server's store is older than this ledger; nothing is admitted for a while", "until", r.hush)
	return lifted(epoch, highest), nil
}

// lifted is the least number above a met epoch that ends in the Lease's own version. Another that meets the same one,
// and holds another version, gets another epoch: what the former of them sends late would else be as good as what its
// successor says, where no workload carries the former's stamp (L7).
func lifted(epoch, met uint64) uint64 {
	out := met - met%lift + epoch%lift
	if out <= met {
		out += lift
	}
	return out
}

// outrank is told of an agent that knows a higher epoch. Either another leads, or the store went back in
// time: the next pass finds out.
func (r *SiteReconciler) outrank(met uint64) {
	for {
		before := r.met.Load()
		if met <= before || r.met.CompareAndSwap(before, met) {
			break
		}
	}
	r.wake()
}

// stillFirst ends this leader's authority where an agent knows a higher epoch: for good if another holds
// the Lease, else until it has taken over anew above that epoch.
func (r *SiteReconciler) stillFirst(ctx context.Context) error {
	if r.links == nil || r.met.Load() <= r.epoch {
		return nil
	}
	if _, err := r.Leader.Read(ctx); err != nil {
		r.Depose(fmt.Errorf("an agent knows a newer leader: %w", err))
		return fmt.Errorf("an agent knows a newer leader: %w", err)
	}
	r.links.close()
	r.links = nil
	return nil
}

// recall reads back what every agent may mind, and what every device ran before it slept.
func (r *SiteReconciler) recall(ctx context.Context) error {
	r.priors, r.splits = map[string]map[string]string{}, splits{}
	var pools powerv1.MinerPoolList
	if err := r.Live.List(ctx, &pools); err != nil {
		return fmt.Errorf("taking over: listing miner pools: %w", err)
	}
	for i := range pools.Items {
		if list := pools.Items[i].Status.Splits; len(list) > 0 {
			r.splits[pools.Items[i].UID] = recalled(list)
		}
		var m corev1.ConfigMap
		key := client.ObjectKey{Namespace: pools.Items[i].Namespace, Name: priorsName(&pools.Items[i])}
		if err := r.Live.Get(ctx, key, &m); err != nil {
			if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) { // its MinerPool says which rights are missing
				continue
			}
			return fmt.Errorf("taking over: reading ConfigMap %s: %w", key, err)
		}
		if err := json.Unmarshal([]byte(m.Data[priorsKey]), &r.priors); err != nil {
			log.FromContext(ctx).Error(err, "Prior settings can't be read; devices wake to what fits", "configMap", key.String())
		}
	}
	return nil
}

// stamp writes the epoch onto one workload; the CRD refuses to let it go back.
func (r *SiteReconciler) stamp(ctx context.Context, w *powerv1.GPUWorkload, epoch uint64) error {
	if uint64(w.Status.Epoch) == epoch {
		return nil
	}
	base := w.DeepCopy()
	w.Status.Epoch = int64(epoch)
	err := r.Status().Patch(ctx, w, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("taking over: stamping GPUWorkload %s/%s: %w", w.Namespace, w.Name, err)
	}
	return nil
}

// catchUp fails until the caches of what is counted are as new as an uncached list: watts must not shrink
// by a stale read (L6). A pool that a stale cache lacks would leave its watts out of the ledger, and without the
// StatefulSets of pools an agent's pod proves to be nobody's. A stamp whose answer was lost took effect, and no read
// of the cache waits for it by itself.
func (r *SiteReconciler) catchUp(ctx context.Context) error {
	var (
		pods   corev1.PodList
		pools  powerv1.MinerPoolList
		sets   appsv1.StatefulSetList
		claims powerv1.GPUWorkloadList
	)
	// What made an agent's pod is listed after it: it was there before.
	for _, list := range []client.ObjectList{&pods, &pools, &sets, &claims} {
		if err := r.Live.List(ctx, list); err != nil {
			return fmt.Errorf("taking over: listing %T: %w", list, err)
		}
	}
	byName, owners := map[client.ObjectKey]*powerv1.MinerPool{}, ownersOf(sets.Items)
	for i := range pools.Items {
		byName[client.ObjectKeyFromObject(&pools.Items[i])] = &pools.Items[i]
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		pool := byName[client.ObjectKey{Namespace: p.Namespace, Name: poolNamed(&p)}]
		agent := pool != nil && isAgent(&p, pool, owners)
		return !agent && !gate.Gated(&p) && !r.Table.IsAccelerated(&p.Spec)
	})
	sets.Items = slices.DeleteFunc(sets.Items, func(set appsv1.StatefulSet) bool {
		return owners[set.UID] == "" // users' own are no agents
	})
	if err := errors.Join(
		caughtAll(ctx, r, pods.Items), caughtAll(ctx, r, pools.Items), caughtAll(ctx, r, sets.Items), caughtAll(ctx, r, claims.Items),
	); err != nil {
		return err
	}
	return r.catchUpLimits(ctx)
}

// catchUpLimits does so for what says how much may be drawn: one that a stale cache lacks would let leases outlast a
// fall that the leader before knew of.
func (r *SiteReconciler) catchUpLimits(ctx context.Context) error {
	var (
		budgets powerv1.PowerBudgetList
		cuts    powerv1.CurtailmentEventList
	)
	for _, list := range []client.ObjectList{&budgets, &cuts} {
		if err := r.Live.List(ctx, list); err != nil {
			return fmt.Errorf("taking over: listing %T: %w", list, err)
		}
	}
	return errors.Join(caughtAll(ctx, r, budgets.Items), caughtAll(ctx, r, cuts.Items))
}

func caughtAll[T any, O interface {
	*T
	client.Object
}](ctx context.Context, r *SiteReconciler, items []T) error {
	for i := range items {
		if err := r.caught(ctx, O(&items[i]), O(new(T))); err != nil {
			return err
		}
	}
	return nil
}

func (r *SiteReconciler) caught(ctx context.Context, want, cached client.Object) error {
	err := r.Get(ctx, client.ObjectKeyFromObject(want), cached)
	if apierrors.IsNotFound(err) {
		// Gone since the list, or not in the cache yet: the API server knows.
		err = r.Live.Get(ctx, client.ObjectKeyFromObject(want), cached)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("the cache does not have it yet")
		}
	}
	if err == nil && version(cached) < version(want) {
		err = fmt.Errorf("the cache is older than the API server")
	}
	if err != nil {
		return fmt.Errorf("taking over: %T %s: %w", want, client.ObjectKeyFromObject(want), err)
	}
	return nil
}

// version is an object's resourceVersion as a number; the API server's are ordered since Kubernetes 1.35.
func version(o client.Object) uint64 {
	v, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return v
}
