package handover

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// Options of the measurement of hand-overs.
type Options struct {
	Bin string
	Shape
	HandOvers int
	// Idle is how long writes are counted with nothing changing; 0 leaves it out.
	Idle time.Duration
	Say  func(format string, args ...any)
}

// Result of the measurement.
type Result struct {
	ASICs     int `json:"asics"`
	Agents    int `json:"agents"`
	HandOvers int `json:"handOvers"`
	// P50Ms and P99Ms are from the gated pod's watch event until the last lease that took watts for it had
	// reached its agent.
	P50Ms float64 `json:"p50Ms"`
	P99Ms float64 `json:"p99Ms"`
	// The same from just before the pod was created, so with what the API server takes to admit it.
	CreateP50Ms float64 `json:"createP50Ms"`
	CreateP99Ms float64 `json:"createP99Ms"`
	// From the gated pod's watch event until that of the open gate, less the models' device time.
	OpenP50Ms float64 `json:"openP50Ms"`
	OpenP99Ms float64 `json:"openP99Ms"`
	SettleMs  float64 `json:"settleMs"`
	// Undisturbed are the hand-overs during which the machine woke this process at most 20 ms late, and the
	// 99th percentiles of them alone; LateP99Ms is how late it woke it all in all.
	Undisturbed          int     `json:"undisturbed"`
	UndisturbedP99Ms     float64 `json:"undisturbedP99Ms"`
	UndisturbedOpenP99Ms float64 `json:"undisturbedOpenP99Ms"`
	LateP99Ms            float64 `json:"lateP99Ms"`
	// LeasesPerHandOver is how many agents had to give watts.
	LeasesPerHandOver float64 `json:"leasesPerHandOver"`
	WritesPerHandOver float64 `json:"writesPerHandOver"`
	Writes            Writes  `json:"writes"`
	// AtOnce pods found their watts free and are in none of the times above.
	AtOnce              int       `json:"atOnce"`
	IdleWritesPerMinute *float64  `json:"idleWritesPerMinute,omitempty"`
	IdleSeconds         float64   `json:"idleSeconds,omitempty"`
	IdleWrites          Writes    `json:"idleWrites,omitempty"`
	CreateMs            []float64 `json:"createMs"`
	LeaseMs             []float64 `json:"leaseMs"`
	OpenMs              []float64 `json:"openMs"`
}

const (
	wattsPerPod     = 11_000
	podsPerWorkload = 10
	// betweenPods is how long the site has for itself after each hand-over.
	betweenPods = 400 * time.Millisecond
	// calmly is how late the machine may have woken this process in a hand-over that it did not disturb.
	calmly = 20 * time.Millisecond
)

// Measure makes hand-overs one after the other at a site whose miners have all there is.
func Measure(ctx context.Context, o Options) (Result, error) {
	out := Result{ASICs: o.ASICs(), Agents: o.Agents(), SettleMs: stats.Ms(o.Settle)}
	err := withSite(ctx, o.Bin, o.Shape, func(ctx context.Context, s *site) error {
		if err := s.open(ctx, o); err != nil {
			return err
		}
		if err := s.handOvers(ctx, o, &out); err != nil {
			return err
		}
		if o.Idle == 0 {
			return nil
		}
		return s.idle(ctx, o.Idle, &out)
	})
	return out, err
}

// open starts the operator and the agents and lets mining have all there is.
func (s *site) open(ctx context.Context, o Options) error {
	clock := stats.Start()
	if err := errors.Join(s.install(ctx), s.nodes(ctx)); err != nil {
		return err
	}
	if err := s.power(ctx, 0); err != nil {
		return err
	}
	for i := range (o.HandOvers + podsPerWorkload - 1) / podsPerWorkload {
		if err := s.workload(ctx, workloadName(i), wattsPerPod); err != nil {
			return err
		}
	}
	if err := s.startOperator(); err != nil {
		return err
	}
	if err := s.mine(ctx); err != nil {
		return err
	}
	if err := s.filled(ctx); err != nil {
		return err
	}
	leased, most := s.leased()
	o.Say("  %d ASICs in %d agents: mining has %d of %d W after %.1f s", s.ASICs(), s.Agents(), leased, most, clock.Ms()/1000)
	return nil
}

func workloadName(i int) string { return fmt.Sprintf("work-%03d", i) }

// handOvers makes them and computes what they took.
func (s *site) handOvers(ctx context.Context, o Options, out *Result) error {
	before, err := s.writes()
	if err != nil {
		return err
	}
	watcher, err := s.client.CoreV1().Pods(workNamespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	defer watcher.Stop()
	var yard stats.Yardstick
	late, calm := context.WithCancel(ctx)
	defer calm()
	s.background.Go(func() { yard.Run(late) })
	leases := 0
	var undisturbed, open []float64
	for i := range o.HandOvers {
		h, err := s.handOver(ctx, watcher, i)
		if err != nil {
			return fmt.Errorf("hand-over %d: %w", i+1, err)
		}
		if h.lowers == 0 {
			out.AtOnce++
			continue
		}
		leases += h.lowers
		out.LeaseMs = append(out.LeaseMs, stats.Ms(h.lease.Sub(h.seen)))
		out.CreateMs = append(out.CreateMs, stats.Ms(h.lease.Sub(h.made)))
		out.OpenMs = append(out.OpenMs, stats.Ms(h.open.Sub(h.seen)-o.Settle))
		if yard.Worst(h.made, h.open) <= calmly {
			undisturbed, open = append(undisturbed, out.LeaseMs[len(out.LeaseMs)-1]), append(open, out.OpenMs[len(out.OpenMs)-1])
		}
	}
	out.LateP99Ms = stats.P99(yard.Ms())
	if out.Undisturbed = len(undisturbed); out.Undisturbed > 0 {
		out.UndisturbedP99Ms, out.UndisturbedOpenP99Ms = stats.P99(undisturbed), stats.P99(open)
	}
	out.LeasesPerHandOver = float64(leases) / float64(len(out.LeaseMs))
	return s.written(ctx, o, before, out)
}

// written counts the writes and computes what hand-overs took.
func (s *site) written(ctx context.Context, o Options, before Writes, out *Result) error {
	if err := await.Wait(ctx, 3*time.Second); err != nil { // what is written afterwards belongs to them too
		return err
	}
	after, err := s.writes()
	if err != nil {
		return err
	}
	if len(out.LeaseMs) == 0 {
		return errors.New("no hand-over took watts from a miner")
	}
	out.HandOvers, out.Writes = o.HandOvers, after.less(before)
	out.WritesPerHandOver = float64(out.Writes.Total()) / float64(o.HandOvers)
	out.P50Ms, out.P99Ms = stats.Median(out.LeaseMs), stats.P99(out.LeaseMs)
	out.CreateP50Ms, out.CreateP99Ms = stats.Median(out.CreateMs), stats.P99(out.CreateMs)
	out.OpenP50Ms, out.OpenP99Ms = stats.Median(out.OpenMs), stats.P99(out.OpenMs)
	return nil
}

// times of one hand-over.
type times struct {
	made, seen, lease, open time.Time
	lowers                  int
}

// handOver creates one gated pod and follows it until it runs.
func (s *site) handOver(ctx context.Context, watcher watch.Interface, i int) (t times, err error) {
	s.mu.Lock()
	s.lowers = 0
	s.mu.Unlock()
	name := fmt.Sprintf("pod-%04d", i)
	pod := gpuPod(name, workloadName(i/podsPerWorkload), gpusPerNode)
	t.made = stats.Now()
	if _, err := s.client.CoreV1().Pods(workNamespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return t, fmt.Errorf("creating a pod: %w", err)
	}
	if t.seen, err = follow(ctx, watcher, name, true); err != nil {
		return t, err
	}
	if t.open, err = follow(ctx, watcher, name, false); err != nil {
		return t, err
	}
	s.mu.Lock()
	t.lease, t.lowers = s.lowered, s.lowers
	s.mu.Unlock()
	if err := s.runs(ctx, name, nodeName(i)); err != nil {
		return t, err
	}
	return t, await.Wait(ctx, betweenPods)
}

// mostWait for one event.
const mostWait = 2 * time.Minute

// follow reads events until the pod is seen with its gate on, or off.
func follow(ctx context.Context, watcher watch.Interface, name string, gated bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, mostWait)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("pod %s: waited %s for gated to be %t", name, mostWait, gated)
		case e, ok := <-watcher.ResultChan():
			at := stats.Now()
			if !ok {
				return at, errors.New("the watch ended")
			}
			if pod, is := e.Object.(*corev1.Pod); is && pod.Name == name && (len(pod.Spec.SchedulingGates) > 0) == gated {
				return at, nil
			}
		}
	}
}

// idle counts what is written while nothing changes.
func (s *site) idle(ctx context.Context, watchFor time.Duration, out *Result) error {
	if err := await.Wait(ctx, 45*time.Second); err != nil { // a quiet spell ends what the last pods set off
		return err
	}
	before, err := s.writes()
	if err != nil {
		return err
	}
	clock := stats.Start()
	if err := await.Wait(ctx, watchFor); err != nil {
		return err
	}
	after, err := s.writes()
	if err != nil {
		return err
	}
	out.IdleSeconds, out.IdleWrites = clock.Ms()/1000, after.less(before)
	out.IdleWritesPerMinute = new(float64(out.IdleWrites.Total()) / out.IdleSeconds * 60)
	return nil
}
