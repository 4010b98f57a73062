package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

func TestHandoversAreSplitIntoDeviceAndControlTime(t *testing.T) {
	const waitingForMiners, noRoom = power.Reason(powerv1.ReasonWaitingForMiners), power.Reason(powerv1.ReasonNoRoom)
	begun := time.Unix(0, 0)
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	pod := func(uid string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)},
			Spec:       corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: powerv1.Gate}}},
		}
	}
	if !gate.Gated(pod("a")) {
		t.Fatal("the pod is not at the gate")
	}
	type took map[string]time.Duration
	for name, test := range map[string]struct {
		play func(h *handovers, pass func(ms int, waits power.Reason, waiting ...string))
		want took
	}{
		"watts that were free": {
			func(h *handovers, pass func(int, power.Reason, ...string)) {
				h.saw(pod("a"), at(0))
				pass(40, "")
				h.opened(pod("a"), "ai/w", at(70))
			}, took{partDevice: 0, partControl: 70 * time.Millisecond},
		},
		"watts that miners shed": {
			func(h *handovers, pass func(int, power.Reason, ...string)) {
				h.saw(pod("a"), at(0))
				pass(10, waitingForMiners, "a")
				pass(500, waitingForMiners, "a")
				pass(9010, "")
				h.opened(pod("a"), "ai/w", at(9040))
			}, took{partDevice: 9 * time.Second, partControl: 40 * time.Millisecond},
		},
		"an hour without room before": {
			func(h *handovers, pass func(int, power.Reason, ...string)) {
				h.saw(pod("a"), at(0))
				pass(10, noRoom, "a")
				pass(3600_000, waitingForMiners, "a")
				pass(3605_000, "")
				h.opened(pod("a"), "ai/w", at(3605_020))
			}, took{partDevice: 5 * time.Second, partControl: 20 * time.Millisecond},
		},
		"one that came while others were shed for": {
			func(h *handovers, pass func(int, power.Reason, ...string)) {
				pass(10, waitingForMiners, "other")
				h.saw(pod("a"), at(6000))
				pass(6001, waitingForMiners, "a", "other")
				pass(9000, "")
				h.opened(pod("a"), "ai/w", at(9010))
			}, took{partDevice: 3 * time.Second, partControl: 10 * time.Millisecond},
		},
		"room that came after it was shed for in vain": {
			func(h *handovers, pass func(int, power.Reason, ...string)) {
				h.saw(pod("a"), at(0))
				pass(10, waitingForMiners, "a")
				pass(5000, noRoom, "a")
				pass(8000, "")
				h.opened(pod("a"), "ai/w", at(8005))
			}, took{partDevice: 0, partControl: 5 * time.Millisecond},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := took{}
			h := newHandovers()
			h.observe = func(part string, d time.Duration) { got[part] = d }
			test.play(h, func(ms int, waits power.Reason, waiting ...string) {
				w := workloadFacts{}
				for _, uid := range waiting {
					w.pods = append(w.pods, pod(uid))
				}
				h.decided(&snapshot{now: at(ms), workloads: []workloadFacts{w}}, power.Plan{
					Workloads: []power.WorkloadPlan{{Key: "ai/w", Waiting: len(waiting), Reason: waits}},
				})
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			h.done(power.Plan{})
			if len(h.seen)+len(h.shed) > 0 {
				t.Errorf("kept %v and %v", h.seen, h.shed)
			}
		})
	}
}
