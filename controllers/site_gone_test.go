package controllers

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// TestWhatHeartbeatsProve: pods are deleted at 0 s on a node that was there until then.
// Rule: L6.
func TestWhatHeartbeatsProve(t *testing.T) {
	const kubelet, seldom = 40, 200 // seconds that a Lease lasts
	type one struct{ at, lasts int }
	every := func(step, from, to, lasts int) (row []one) {
		for at := from; at <= to; at += step {
			row = append(row, one{at, lasts})
		}
		return row
	}
	for name, c := range map[string]struct {
		beats []one
		grace time.Duration
		want  int // the first beat that proves the end; -1 where none does
	}{
		"every 10 s, always there":                 {every(10, -10, 200, kubelet), 0, 60},
		"a pod that takes its time to end":         {every(10, -10, 900, kubelet), 600 * time.Second, 660},
		"every 50 s, always there":                 {every(50, -50, 400, seldom), 0, 250},
		"back after a gap that its Lease tells":    {append(every(10, -10, 0, kubelet), every(10, 150, 300, kubelet)...), 0, 210},
		"back after a gap that its Lease hides":    {append(every(50, -50, 0, seldom), every(50, 190, 500, seldom)...), 0, 240},
		"back after more than any Lease lasts":     {append(every(50, -50, 0, seldom), every(50, 250, 700, seldom)...), 0, 500},
		"no Lease says how long it lasts":          {every(10, -10, 200, 0), 0, 60},
		"a Lease of less than the least":           {every(10, -10, 200, 5), 0, 60},
		"renewed once and never more":              {every(10, -10, 0, kubelet), 0, -1},
		"a shorter Lease soon after it came back":  {append(every(50, -50, 0, seldom), every(10, 190, 500, kubelet)...), 0, 250},
		"a shorter Lease after one beat of a long": {append([]one{{-50, seldom}, {0, seldom}, {190, seldom}}, every(10, 195, 500, kubelet)...), 0, 225},
	} {
		t.Run(name, func(t *testing.T) {
			zero := time.Unix(1_900_000_000, 0)
			known, got := beat{}, -1
			for _, b := range c.beats {
				at := zero.Add(time.Duration(b.at) * time.Second)
				heard := beat{asked: at, at: at, away: max(nodeAway, time.Duration(b.lasts)*time.Second)}
				known = heard.after(known)
				if known.proves(zero, c.grace) {
					got = b.at
					break
				}
			}
			if got != c.want {
				t.Errorf("proven by the beat at %d s, want %d", got, c.want)
			}
		})
	}
}

func TestGraceOf(t *testing.T) {
	for name, c := range map[string]struct {
		spec, deletion *int64
		want           time.Duration
	}{
		"by default":                {nil, nil, 30 * time.Second},
		"its own":                   {new(int64(600)), nil, 600 * time.Second},
		"deleted by force":          {new(int64(600)), new(int64(0)), 600 * time.Second},
		"deleted with a longer one": {nil, new(int64(900)), 900 * time.Second},
		"more than time can count":  {new(int64(1 << 40)), nil, 365 * 24 * time.Hour},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionGracePeriodSeconds: c.deletion}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: c.spec}}
		if got := graceOf(pod); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestAPodDeletedBeforeANodeHadItNeverRan: no node need be heard for it, unless it may have been bound unseen.
// Rule: L6.
func TestAPodDeletedBeforeANodeHadItNeverRan(t *testing.T) {
	for name, c := range map[string]struct {
		node          string
		certain, want bool
	}{
		"never bound": {"", true, true}, "its last state was missed": {"", false, false}, "on a node": {"n", true, false},
	} {
		g := newGonePods(func() time.Time { return time.Unix(1_900_000_000, 0) })
		g.deleted(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Spec: corev1.PodSpec{NodeName: c.node}}, c.certain)
		if got := g.of("u").ended; got != c.want {
			t.Errorf("%s: ended %t", name, got)
		}
	}
}

// TestAVanishedPodIsRememberedWhileItIsReserved: what is forgotten is counted as gone just now, so its watts would be
// held for its grace all over again.
func TestAVanishedPodIsRememberedWhileItIsReserved(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	g := newGonePods(func() time.Time { return now })
	vanish := func(uid types.UID) {
		g.deleted(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}, Spec: corev1.PodSpec{NodeName: "n"}}, true)
	}
	began := now
	vanish("reserved")
	vanish("nobody's")
	for range 24 {
		now = now.Add(memory / 2)
		g.of("reserved")
		vanish("another")
	}
	if _, there := g.pods["nobody's"]; there || !g.of("reserved").at.Equal(began) {
		t.Errorf("remembers %+v", g.pods)
	}
}

// TestAVanishedPodMayHaveRunAnywhere: a claim pinned to a parent is drawn on the nodes of its children, too; and what
// was its budget's node may be of another by now, relabelled while the pod ran on.
// Rule: L6.
func TestAVanishedPodMayHaveRunAnywhere(t *testing.T) {
	budget := func(name, parent string) powerv1.PowerBudget {
		b := powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: name}}
		b.Spec.Parent = parent
		return b
	}
	s := &snapshot{lists: &lists{budgets: []powerv1.PowerBudget{budget("site", ""), budget("one", "site"), budget("two", "site")}}}
	s.site.Nodes = []power.Node{{Name: "n0", Budget: "site"}, {Name: "n1", Budget: "one"}, {Name: "n2", Budget: "two"}, {Name: "n3"}}
	if got, want := s.mayHaveRun(gonePod{}), []string{"n0", "n1", "n2", "n3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := s.mayHaveRun(gonePod{node: "n2"}); !slices.Equal(got, []string{"n2"}) {
		t.Errorf("its node is known: %v", got)
	}
}

// TestAPodWhoseReservationIsLostCountsWhereItIsPinned: while no node has it, too; the annotation is the record, and the
// node selector that came with it says where it may go. Rules: L6, L8.
func TestAPodWhoseReservationIsLostCountsWhereItIsPinned(t *testing.T) {
	for name, c := range map[string]struct {
		selector map[string]string
		node     string
		want     string
	}{
		"pinned to the second site":     {map[string]string{"site": "b"}, "", "b"},
		"pinned to a hall of it":        {map[string]string{"site": "b", "hall": "one"}, "", "b-one"},
		"on a node":                     {map[string]string{"site": "b"}, "n1", "b-one"},
		"pinned to what nobody selects": {map[string]string{"site": "c"}, "", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &snapshot{lists: &lists{}}
			for _, b := range []power.Budget{
				{Name: "a", Feeds: true, Pin: map[string]string{"site": "a"}},
				{Name: "b", Feeds: true, Pin: map[string]string{"site": "b"}},
				{Name: "b-one", Parent: "b", Feeds: true, Pin: map[string]string{"site": "b", "hall": "one"}},
			} {
				s.site.Budgets = append(s.site.Budgets, b)
				s.budgets = append(s.budgets, powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: b.Name}, Spec: powerv1.PowerBudgetSpec{Parent: b.Parent}})
			}
			s.site.Nodes = []power.Node{{Name: "n1", Budget: "b-one"}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Annotations: map[string]string{powerv1.AdmittedAnnotation: "8000"}}}
			pod.Spec.NodeSelector, pod.Spec.NodeName = c.selector, c.node
			w := &workloadFacts{object: &powerv1.GPUWorkload{}}
			(&SiteReconciler{Table: gate.Builtin()}).enter(s, w, pod)
			if len(w.power.Pods) != 1 || w.power.Pods[0].Budget != c.want {
				t.Errorf("enters %+v, want %s", w.power.Pods, c.want)
			}
		})
	}
}
