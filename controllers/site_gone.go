package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

const (
	// nodeQuiet is how long after a pod's end its watts are held at least, whatever is said of its node (L6).
	nodeQuiet = 60 * time.Second
	// nodeAway is how far apart two heartbeats may be of a node that was there in between, or its Lease's own
	// duration where that is longer: kubelets renew it every quarter of that. Past it the node counts as away.
	nodeAway = 40 * time.Second
	// nodeBack is how soon a node that was away, heard again, begins to end what was deleted meanwhile. The end
	// takes a pod's grace, and an absence may go unnoticed for as long as a Lease lasts: both are waited besides.
	nodeBack = 20 * time.Second
	// listenEvery is how often one node is asked, listenAtOnce how many are in one pass.
	listenEvery  = 10 * time.Second
	listenAtOnce = 64
)

// beat is what was last heard of a node, by uncached reads.
type beat struct {
	asked, at time.Time
	since     time.Time     // the first heartbeat of a row without a gap that ends with at
	away      time.Duration // the longest gap that is none in that row
	deleted   bool          // the Node object is no more: somebody has said that the machine is off
}

// renewal is a node's Lease: when its kubelet renewed it last, and for how long.
type renewal struct {
	at    time.Time
	lasts time.Duration
}

// enterGone counts every reservation whose pod is no more, until the pod is known to have ended.
func (r *SiteReconciler) enterGone(s *snapshot, w *workloadFacts) {
	for i := range w.object.Status.Reservations {
		res := &w.object.Status.Reservations[i]
		if _, here := s.podByUID[res.UID]; here {
			continue
		}
		p := power.Pod{
			UID: string(res.UID), Name: res.Name, Phase: power.Admitted, Gone: true,
			Watts: power.Watts(res.Watts.Value()), Budget: res.Budget,
		}
		gone := r.gone.of(res.UID)
		p.Node = gone.node
		if res.EndedAt != nil || gone.ended || r.forgotten(s, w, gone, res) {
			p.Phase = power.Releasing
			r.release(s, w, &p, res)
		}
		w.power.Pods = append(w.power.Pods, p)
	}
}

// forgotten tells whether the node of a vanished pod was heard for long enough after it vanished, or is no
// more; all nodes where its own is not known, as after a takeover. The others are asked once the leases
// are out. The first is named in a condition with what is waited for, and the way out where it is not heard (liveness i).
func (r *SiteReconciler) forgotten(s *snapshot, w *workloadFacts, gone gonePod, res *powerv1.Reservation) bool {
	quiet, grace := s.now.Sub(gone.at) >= nodeQuiet, max(gone.grace, graceHeld(res))
	all := quiet
	for _, name := range s.mayHaveRun(gone) {
		b := r.beats[name]
		if quiet && b.deleted || b.proves(gone.at, grace) {
			continue
		}
		switch {
		case !all || b.asked.IsZero():
		case s.now.Sub(b.at) > b.away:
			w.lost = append(w.lost, fmt.Sprintf("%s on node %s", res.Name, name))
		default:
			w.ending = append(w.ending, fmt.Sprintf("node %s is heard, and pod %s may take %v to end there", name, res.Name, grace))
		}
		s.asked[name], all = true, false
	}
	if all {
		r.gone.confirm(res.UID)
	}
	return all
}

// usualGrace is that of pods whose reservation says nothing of it.
const usualGrace = corev1.DefaultTerminationGracePeriodSeconds * time.Second

// graceHeld is the grace of a reserved pod that this process may never have seen.
func graceHeld(res *powerv1.Reservation) time.Duration {
	return max(usualGrace, time.Duration(res.TerminationGracePeriodSeconds)*time.Second)
}

// mayHaveRun is the nodes that a vanished pod may have run on: any, where nobody saw which. Those of its budget by now
// need not be those that it had when the pod was bound.
func (s *snapshot) mayHaveRun(gone gonePod) []string {
	if gone.node != "" {
		return []string{gone.node}
	}
	names := make([]string, len(s.site.Nodes))
	for i := range s.site.Nodes {
		names[i] = s.site.Nodes[i].Name
	}
	return names
}

// listen asks for the heartbeats that the snapshot missed, past the cache, a bounded number at a time.
func (r *SiteReconciler) listen(ctx context.Context, s *snapshot) {
	if len(s.asked) == 0 {
		r.beats = nil
		return
	}
	if r.beats == nil {
		r.beats = map[string]beat{}
	}
	var due []string
	for _, name := range slices.Sorted(maps.Keys(s.asked)) {
		if s.now.Sub(r.beats[name].asked) >= listenEvery && len(due) < listenAtOnce {
			due = append(due, name)
		}
	}
	heard := make([]beat, len(due))
	r.each(len(due), func(i int) { heard[i] = r.hear(ctx, due[i], s.now) })
	for i, name := range due {
		r.beats[name] = heard[i].after(r.beats[name])
	}
}

// after is what is known of a node by one beat more.
func (b beat) after(last beat) beat {
	b.since = last.since
	if b.at.Sub(last.at) > b.away {
		b.since = b.at
	} else {
		b.away = max(b.away, last.away) // what went unnoticed by the longer Lease counts on
	}
	b.at = later(b.at, last.at)
	return b
}

// proves tells that a node was heard for so long after a pod vanished that it, alive, has ended it (L6).
func (b beat) proves(gone time.Time, grace time.Duration) bool {
	return b.at.Sub(later(gone, b.since)) >= b.away+nodeBack+grace
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// hear reads one node's heartbeat, and whether there is such a node at all.
func (r *SiteReconciler) hear(ctx context.Context, name string, now time.Time) beat {
	heard := beat{asked: now, away: nodeAway}
	if l, err := r.Heartbeat(ctx, name); err == nil {
		heard.at, heard.away = l.at, max(nodeAway, l.lasts)
		return heard
	}
	err := r.Live.Get(ctx, client.ObjectKey{Name: name}, &corev1.Node{})
	heard.deleted = apierrors.IsNotFound(err)
	return heard
}
