package handover

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// LargeOptions of the measurement of memory.
type LargeOptions struct {
	Bin string
	Shape
	// Pods that run, in workloads of a hundred.
	Pods int
	// Rest is how long the site stands before memory is read.
	Rest time.Duration
	Say  func(format string, args ...any)
}

// LargeResult of the measurement.
type LargeResult struct {
	ASICs     int `json:"asics"`
	Agents    int `json:"agents"`
	Pods      int `json:"pods"`
	Nodes     int `json:"nodes"`
	Workloads int `json:"workloads"`
	// RSSMiB is at the end, PeakMiB the highest since the operator started.
	RSSMiB  float64 `json:"rssMiB"`
	PeakMiB float64 `json:"peakMiB"`
	// What the Go runtime says of the same moment as RSSMiB, and the passes over the site made since the start.
	HeapMiB     float64 `json:"heapInUseMiB"`
	HeapLiveMiB float64 `json:"heapAllocMiB"`
	StackMiB    float64 `json:"stackInUseMiB"`
	Goroutines  float64 `json:"goroutines"`
	// PassMs is the mean time of a pass over the site, waits for the API server included.
	PassMs float64 `json:"passMeanMs"`
	Passes float64 `json:"passes"`
	// Heard is how many agents had a lease at the end.
	Heard int `json:"agentsWithLease"`
	// CPUPercent of one core while the site stood.
	CPUPercent float64 `json:"cpuPercent"`
	// Ended is how often the operator ended by itself and was started again, as a kubelet would.
	Ended int `json:"ended"`
	// ReadyS is from the operator's start until every agent had a lease.
	ReadyS float64 `json:"readySeconds"`
}

const (
	podsOfLarge = 100 // in one workload
	wattsPerGPU = 1_300
)

// MeasureLarge starts an operator at a site that an earlier one left full: pods run with their watts on
// them. It waits until every agent has its lease, lets the site stand, and reads the operator's memory.
func MeasureLarge(ctx context.Context, o LargeOptions) (LargeResult, error) {
	out := LargeResult{ASICs: o.ASICs(), Agents: o.Agents(), Pods: o.Pods, Nodes: o.Nodes, Workloads: o.Pods / podsOfLarge}
	err := withSite(ctx, o.Bin, o.Shape, func(ctx context.Context, s *site) error {
		clock := stats.Start()
		if err := s.full(ctx, o); err != nil {
			return err
		}
		o.Say("  %d nodes and %d running pods made in %.0f s", o.Nodes, o.Pods, clock.Ms()/1000)
		clock = stats.Start()
		if err := s.startOperator(); err != nil {
			return err
		}
		if err := s.mine(ctx); err != nil {
			return err
		}
		// Whoever has no lease when the time is up is told in the result.
		_ = await.Until(ctx, 3*time.Minute, time.Second, func() error {
			if err := s.look(&out); err != nil {
				return err
			}
			if n := s.heard(); n < out.Agents {
				return fmt.Errorf("%d agents have a lease", n)
			}
			return nil
		})
		out.ReadyS = clock.Ms() / 1000
		return s.stand(ctx, o.Rest, &out)
	})
	return out, err
}

// stand lets the site stand and reads what the operator takes.
func (s *site) stand(ctx context.Context, rest time.Duration, out *LargeResult) error {
	clock, cpu := stats.Start(), stats.CPUOf(s.operator.Pid())
	for clock.Ms() < stats.Ms(rest) {
		if err := errors.Join(await.Wait(ctx, time.Second), s.look(out)); err != nil {
			return err
		}
	}
	out.CPUPercent = stats.Ms(stats.CPUOf(s.operator.Pid())-cpu) / clock.Ms() * 100
	out.Heard = s.heard()
	m, err := s.scrape(ctx)
	if err != nil {
		return err
	}
	const mib = 1 << 20
	out.HeapMiB, out.HeapLiveMiB = m["go_memstats_heap_inuse_bytes"]/mib, m["go_memstats_heap_alloc_bytes"]/mib
	out.StackMiB, out.Goroutines = m["go_memstats_stack_inuse_bytes"]/mib, m["go_goroutines"]
	out.Passes = m[passes+"count"+ofSite]
	out.PassMs = m[passes+"sum"+ofSite] / out.Passes * 1000
	return nil
}

// look notes the operator's memory, and starts it again where it has ended.
func (s *site) look(out *LargeResult) error {
	select {
	case <-s.operator.Done():
		out.Ended++
		return s.startOperator()
	default:
	}
	now, peak := stats.MemoryOf(s.operator.Pid())
	out.RSSMiB, out.PeakMiB = now, max(out.PeakMiB, peak)
	return nil
}

// full makes nodes, budgets, pools, workloads and their running pods. The pods are made before the
// policies, which let nobody make a pod that looks admitted, as if the gate had been opened for them long ago.
func (s *site) full(ctx context.Context, o LargeOptions) error {
	if err := s.nodes(ctx); err != nil {
		return err
	}
	for i := range o.Pods / podsOfLarge {
		if err := s.workload(ctx, workloadName(i), wattsPerGPU); err != nil {
			return err
		}
	}
	err := inParallel(o.Pods, func(i int) error {
		pod := admittedPod(fmt.Sprintf("pod-%05d", i), workloadName(i/podsOfLarge), nodeName(i%o.Nodes), 1, wattsPerGPU)
		if _, err := s.client.CoreV1().Pods(workNamespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating pod %s: %w", pod.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	return s.power(ctx, int64(o.Pods)*wattsPerGPU)
}

// heard counts the agents that have a lease.
func (s *site) heard() (n int) {
	for _, m := range s.agents() {
		if m.leased() {
			n++
		}
	}
	return n
}
