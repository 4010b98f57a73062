package controllers

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/gate"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// The parts of a hand-over.
const (
	partDevice  = "device"
	partControl = "control"
)

// handovers times how AI pods get their watts: device time from the order to shed until the watts were
// measured free, control time all the rest from when the pod was seen at the gate. A pod that waits for anything
// but miners is in no hand-over: its clock begins when that is over. A nil one times nothing.
type handovers struct {
	mu   sync.Mutex
	seen map[types.UID]time.Time // at the gate, and not passed over since
	shed map[string]time.Time    // since when a workload's watts are being shed, by its key
	pass time.Time               // when the pass began that opens gates now
	// observe takes the result.
	observe func(part string, d time.Duration)
}

func newHandovers() *handovers {
	return &handovers{
		seen: map[types.UID]time.Time{}, shed: map[string]time.Time{},
		observe: func(part string, d time.Duration) { handoverTime.WithLabelValues(part).Observe(d.Seconds()) },
	}
}

// saw notes that a pod came to the gate.
func (h *handovers) saw(pod *corev1.Pod, now time.Time) {
	if h == nil || !gate.Gated(pod) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[pod.UID] = now
}

// left notes that a pod is gone.
func (h *handovers) left(pod *corev1.Pod) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seen, pod.UID)
}

// decided takes in what a pass decided, before it is done.
func (h *handovers) decided(s *snapshot, p power.Plan) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pass = s.now
	for i := range p.Workloads {
		w := &p.Workloads[i]
		_, sheds := h.shed[w.Key]
		switch waits := string(w.Reason) == powerv1.ReasonWaitingForMiners; {
		case w.Waiting > 0 && waits && !sheds:
			h.shed[w.Key] = s.now
		case w.Waiting > 0 && !waits:
			delete(h.shed, w.Key)
			h.passOver(&s.workloads[i], w)
		}
	}
}

// passOver leaves the pods of a workload out that wait for something else than miners.
func (h *handovers) passOver(w *workloadFacts, p *power.WorkloadPlan) {
	if len(h.seen) == 0 {
		return
	}
	given := make(map[string]bool, len(p.Pods))
	for i := range p.Pods {
		given[p.Pods[i].UID] = true
	}
	for _, pod := range w.pods {
		if !given[string(pod.UID)] {
			delete(h.seen, pod.UID)
		}
	}
}

// opened takes in that a pod's gate was opened.
func (h *handovers) opened(pod *corev1.Pod, workload string, now time.Time) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	begun, seen := h.seen[pod.UID]
	shed, sheds := h.shed[workload]
	switch {
	case !seen && sheds:
		begun = shed
	case !seen:
		begun = h.pass
	}
	delete(h.seen, pod.UID)
	device := time.Duration(0)
	if sheds {
		if begun.After(shed) {
			shed = begun // it came while others of its workload were being shed for
		}
		device = max(0, h.pass.Sub(shed))
	}
	h.observe(partDevice, device)
	h.observe(partControl, max(0, now.Sub(begun)-device))
}

// done forgets workloads of which nobody waits any more, once what was decided is done.
func (h *handovers) done(p power.Plan) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	still := make(map[string]time.Time, len(h.shed))
	for i := range p.Workloads {
		if at, ok := h.shed[p.Workloads[i].Key]; ok && p.Workloads[i].Waiting > 0 {
			still[p.Workloads[i].Key] = at
		}
	}
	h.shed = still
}
