package decide

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/counterweight-dev/counterweight/internal/power"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// Case is one row of the benchmark: so many random sites of one shape, each decided so many times.
type Case struct {
	Shape
	Sites, Calls int
	TargetMs     float64
	// MostMs ends the calls on one site early, once they took so long and there were five.
	MostMs float64
	// Quiet leaves out the pods that wait.
	Quiet bool
}

// Cases are the three sizes of the design.
var Cases = []Case{
	{Shape: Shape{Agents: 40, DevicesPerAgent: 250, Halls: 3, RowsPerHall: 6, Workloads: 60, Pods: 480, Nodes: 240, Pieces: 24}, Sites: 20, Calls: 50, TargetMs: 2, MostMs: 1000},
	{Shape: Shape{Agents: 400, DevicesPerAgent: 250, Halls: 8, RowsPerHall: 10, Workloads: 200, Pods: 2400, Nodes: 800, Pieces: 24}, Sites: 8, Calls: 50, TargetMs: 10, MostMs: 3000},
	{Shape: Shape{Agents: 2500, DevicesPerAgent: 256, Halls: 20, RowsPerHall: 12, Workloads: 400, Pods: 10000, Nodes: 2400, Pieces: 24}, Sites: 4, Calls: 50, TargetMs: 30, MostMs: 6000},
}

// Exact is the shape that the general solver finishes in seconds.
var Exact = Case{Shape: Shape{Agents: 24, DevicesPerAgent: 250, Halls: 2, RowsPerHall: 4, Workloads: 20, Pods: 160, Nodes: 64, Pieces: 6}, Sites: 40, Calls: 5}

// Row of the report.
type Row struct {
	ASICs     int `json:"asics"`
	Agents    int `json:"agents"`
	Budgets   int `json:"budgets"`
	Workloads int `json:"workloads"`
	Pods      int `json:"pods"`
	Nodes     int `json:"nodes"`
	Sites     int `json:"sites"`
	Calls     int `json:"calls"`
	// Wall-clock time of one call, and processor time of the thread that made it.
	MedianMs    float64 `json:"medianMs"`
	P99Ms       float64 `json:"p99Ms"`
	CPUMedianMs float64 `json:"cpuMedianMs"`
	CPUP99Ms    float64 `json:"cpuP99Ms"`
	TargetMs    float64 `json:"targetMs,omitempty"`
	// GapPercent is how far the worst of the sites is from the exact optimum; the certificate's is how far
	// it is from what the plan itself says can't be beaten.
	GapPercent            float64 `json:"gapPercent"`
	CertificateGapPercent float64 `json:"certificateGapPercent"`
	CertificateGapMedian  float64 `json:"certificateGapMedianPercent"`
	SitesOverCertificate  int     `json:"sitesOverBoundBy0.1Percent"`
	SitesOverExact        int     `json:"sitesOverExactBy0.1Percent"`
	// MergeMedianMs is the time of the exact solver that works at every size.
	MergeMedianMs float64 `json:"mergeMedianMs"`
}

// fewest calls on one site.
const fewest = 5

// within is how far from a bound a dispatch may be at most, in percent.
const within = 0.1

// samples of one case.
type samples struct {
	wall, cpu, gap, certificate, merge []float64
}

// Measure measures one case.
func Measure(c Case) (Row, error) {
	runtime.LockOSThread() // the thread's own processor time is read
	defer runtime.UnlockOSThread()
	var all samples
	row := Row{ASICs: c.ASICs(), Agents: c.Agents, Budgets: c.Budgets(), Workloads: c.Workloads, Nodes: c.Nodes, Sites: c.Sites, TargetMs: c.TargetMs}
	for seed := range c.Sites {
		s := NewSite(uint64(seed)+1, c.Shape)
		if c.Quiet {
			leaveOutWaiting(&s)
		}
		row.Pods = max(row.Pods, countPods(s))
		if err := all.one(s, c); err != nil {
			return row, fmt.Errorf("site %d of %d agents: %w", seed+1, c.Agents, err)
		}
	}
	row.Calls = len(all.wall)
	row.MedianMs, row.P99Ms = stats.Median(all.wall), stats.P99(all.wall)
	row.CPUMedianMs, row.CPUP99Ms = stats.Median(all.cpu), stats.P99(all.cpu)
	row.GapPercent, row.CertificateGapPercent = stats.Percentile(all.gap, 100), stats.Percentile(all.certificate, 100)
	row.CertificateGapMedian = stats.Median(all.certificate)
	row.SitesOverCertificate, row.SitesOverExact = countOver(all.certificate), countOver(all.gap)
	row.MergeMedianMs = stats.Median(all.merge)
	return row, nil
}

func countOver(gaps []float64) (n int) {
	for _, g := range gaps {
		if g > within {
			n++
		}
	}
	return n
}

func leaveOutWaiting(s *power.Site) {
	for i := range s.Workloads {
		w := &s.Workloads[i]
		w.Pods = slices.DeleteFunc(w.Pods, func(p power.Pod) bool { return p.Phase == power.Gated })
	}
}

func countPods(s power.Site) (n int) {
	for i := range s.Workloads {
		n += len(s.Workloads[i].Pods)
	}
	return n
}

// one decides one site many times and compares the plan with the bounds.
func (all *samples) one(s power.Site, c Case) error {
	var plan power.Plan
	runtime.GC() // what drew the site is not collected on the decision's time
	whole := stats.Start()
	for n := range c.Calls {
		if n >= fewest && whole.Ms() > c.MostMs {
			break
		}
		watch, cpu := stats.Start(), stats.ThreadCPU()
		plan = power.Decide(s)
		all.cpu = append(all.cpu, stats.Ms(stats.ThreadCPU()-cpu))
		all.wall = append(all.wall, watch.Ms())
	}
	p, err := NewProblem(s, plan)
	if err != nil {
		return err
	}
	watch := stats.Start()
	best := p.Merge()
	all.merge = append(all.merge, watch.Ms())
	all.gap = append(all.gap, stats.GapPercent(plan.THs, best))
	all.certificate = append(all.certificate, stats.GapPercent(plan.THs, plan.BoundTHs))
	return nil
}

// Comparison is one random site solved by the decision and by the general solver, side by side.
type Comparison struct {
	Seed        uint64  `json:"seed"`
	Variables   int     `json:"variables"`
	Constraints int     `json:"constraints"`
	DecideTHs   float64 `json:"decideTHs"`
	ExactTHs    float64 `json:"exactTHs"`
	MergeTHs    float64 `json:"mergeTHs"`
	BoundTHs    float64 `json:"boundTHs"`
	GapPercent  float64 `json:"gapPercent"`
	// DecideMs is the median time of a whole decision, ExactMs that of the solver on its dispatch alone.
	DecideMs float64 `json:"decideMs"`
	ExactMs  float64 `json:"exactMs"`
}

// Compare solves one random site both ways.
func Compare(c Case, seed uint64) (Comparison, error) {
	s := NewSite(seed, c.Shape)
	var times []float64
	var plan power.Plan
	for range c.Calls {
		watch := stats.Start()
		plan = power.Decide(s)
		times = append(times, watch.Ms())
	}
	out := Comparison{Seed: seed, DecideTHs: plan.THs, BoundTHs: plan.BoundTHs, DecideMs: stats.Median(times)}
	p, err := NewProblem(s, plan)
	if err != nil {
		return out, fmt.Errorf("site %d: %w", seed, err)
	}
	out.Variables, out.Constraints = p.Size()
	watch := stats.Start()
	if out.ExactTHs, err = p.Simplex(); err != nil {
		return out, fmt.Errorf("site %d: %w", seed, err)
	}
	out.ExactMs, out.MergeTHs = watch.Ms(), p.Merge()
	out.GapPercent = stats.GapPercent(out.DecideTHs, out.ExactTHs)
	return out, nil
}
