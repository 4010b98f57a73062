package chaos

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Result of many histories.
type Result struct {
	Histories, Steps, Violations int
	// First are the numbers of the first histories that broke a rule.
	First []int
	// WildWattSeconds is what machines that break the assumptions by physics drew over limits.
	WildWattSeconds float64
	WildLongest     time.Duration
	Wild            int
}

// Run plays so many histories of a seed, from a number on, on every core; it stops after most violations.
func Run(seed uint64, from, histories, most int) Result {
	var (
		next  atomic.Int64
		mu    sync.Mutex
		total Result
		group sync.WaitGroup
	)
	next.Store(int64(from))
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= from+histories {
					return
				}
				out := play(draw(seed, n), false)
				mu.Lock()
				total.add(n, out)
				done := total.Violations >= most
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	group.Wait()
	return total
}

func (r *Result) add(n int, out Outcome) {
	r.Histories++
	r.Steps += out.Steps
	if out.Wild {
		r.Wild++
		r.WildWattSeconds += out.OverWattSeconds
		r.WildLongest = max(r.WildLongest, out.OverLongest)
	}
	if out.Violation != nil {
		r.Violations++
		r.First = append(r.First, n)
	}
}

// Play plays one history with its whole timeline.
func Play(seed uint64, number int) Outcome { return play(draw(seed, number), true) }
