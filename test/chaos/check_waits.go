package chaos

import (
	"time"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// handOverIn is how long miners may take: a raise in flight settles, then the shed does, and a look after each.
const handOverIn = 50 * time.Second

// waits notes since when a workload waits for miners.
func (c *checker) waits(o *operator, p *power.Plan) {
	for i := range p.Workloads {
		w := &p.Workloads[i]
		since, known := o.waiting[w.Key]
		switch {
		case w.Reason != power.WaitingForMiners || known && since.left != w.Waiting:
			delete(o.waiting, w.Key)
		case !known:
			o.waiting[w.Key] = wait{c.h.now, w.Waiting}
		}
	}
}

// wait is since when so many pods wait for miners.
type wait struct {
	at   time.Duration
	left int
}

// waitsLong tells whether a workload has waited for miners for longer than these may take.
func (c *checker) waitsLong(w *powerv1.GPUWorkload) bool {
	for _, o := range c.h.operators {
		if since, ok := o.waiting[keyOf(w).String()]; ok && c.h.now-since.at > handOverIn {
			return true
		}
	}
	return false
}
