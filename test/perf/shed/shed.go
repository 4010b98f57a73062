// Package shed measures one mining agent: the real binary, over the real protocols, against 256 simulated
// machines. It speaks to the agent as the operator does.
package shed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/mixed"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// Options of the measurement.
type Options struct {
	// Bin holds miner-agent and asic-sim.
	Bin string
	// Devices in all: of every firmware where they are Mixed, else of two.
	Devices int
	Mixed   bool
	// Watch is how long the agent's processor time is watched; Rounds how often everything is shed.
	Watch  time.Duration
	Rounds int
	Say    func(format string, args ...any)
}

// Result of the measurement.
type Result struct {
	Devices int `json:"devices"`
	// CPUPercent of one core over WatchSeconds of steady polling, and memory at its end.
	CPUPercent   float64 `json:"cpuPercent"`
	WatchSeconds float64 `json:"watchSeconds"`
	RSSMiB       float64 `json:"rssMiB"`
	PeakRSSMiB   float64 `json:"peakRssMiB"`
	Rounds       []Round `json:"rounds"`
	// LookMs is how far apart the looks at the machines were.
	LookMs float64 `json:"lookP99Ms"`
	// UnderMs is, in the first round, until the agent had verified that its devices draw no more than the
	// lease: device time for the most part. Not watched where they are mixed.
	UnderMs float64 `json:"underLeaseMs,omitempty"`
	// Firmwares of the devices, once for each generation.
	Firmwares []string `json:"firmwares"`
}

// Round is one shed of everything.
type Round struct {
	// Ms is from the lease being handed to the stream until the last machine was seen to have got its order.
	Ms float64 `json:"ms"`
	// Left is how many had no order at the first look after a second, at SecondMs; Last is the last of all.
	Left     int     `json:"leftAfterASecond"`
	SecondMs float64 `json:"secondMs,omitempty"`
	Last     string  `json:"last"`
	// LateMs is how late the machine woke this process at worst meanwhile.
	LateMs float64 `json:"lateMs"`
}

// Ms of every round.
func (r Result) Ms() (out []float64) {
	for _, round := range r.Rounds {
		out = append(out, round.Ms)
	}
	return out
}

// Where the machines and the agent live; nothing else of this repository uses these addresses.
const (
	braiinsFirst = "127.120.0.1"
	luxosFirst   = "127.120.2.1"
	mixedFirst   = "127.120.16.1"
	agentAddress = "127.120.255.1"
	agentPort    = "7443"
	httpPort     = "8082"
	braiinsPort  = 18120
	podUID       = "5d6b7c1e-0000-4000-8000-000000000001"
)

// Measure runs the rounds; the first one also watches the agent at rest.
func Measure(ctx context.Context, o Options) (Result, error) {
	machines := fleetOf(o)
	out := Result{Devices: o.Devices, Firmwares: machines.Firmwares()}
	var looks []float64
	yard := &stats.Yardstick{}
	late, calm := context.WithCancel(ctx)
	defer calm()
	go yard.Run(late)
	for round := range o.Rounds {
		err := withRig(ctx, o, machines, yard, func(r *rig) error {
			if round > 0 {
				return r.shed(ctx, &out, &looks)
			}
			return r.first(ctx, &out, &looks)
		})
		if err != nil {
			return out, err
		}
		done := out.Rounds[round]
		o.Say("  round %d: last of %d machines commanded after %.0f ms (%s; %d were left after a second); the machine woke the bench up to %.0f ms late",
			round+1, out.Devices, done.Ms, done.Last, done.Left, done.LateMs)
	}
	out.LookMs = stats.P99(looks)
	return out, nil
}

// first watches the agent at rest before it sheds, long enough for it to have watched its machines.
func (r *rig) first(ctx context.Context, out *Result, looks *[]float64) error {
	if err := r.rest(ctx, r.o.Watch, out); err != nil {
		return err
	}
	r.o.Say("  at rest: %.2f %% of one core over %.1f s, %.1f MiB (peak %.1f)", out.CPUPercent, out.WatchSeconds, out.RSSMiB, out.PeakRSSMiB)
	clock := stats.Start()
	if err := r.shed(ctx, out, looks); err != nil {
		return err
	}
	if r.o.Mixed { // until readings of all of them are believed, the slowest to start takes minutes
		return nil
	}
	err := r.under(ctx)
	out.UnderMs = clock.Ms()
	return err
}

// rig is a fleet, an agent and the operator's end of its stream.
type rig struct {
	o        Options
	dir      string
	machines mixed.Fleet
	fleet    *mixed.Running
	agent    *proc.Process
	orders   *link.Outbox
	// ordered is the lease that sheds everything: the floor as the agent reported it.
	ordered lease.Watts

	yard *stats.Yardstick

	mu     sync.Mutex
	issuer *lease.Issuer
}

// withRig starts everything, lets the agent find its machines under a full lease, and ends everything.
func withRig(ctx context.Context, o Options, machines mixed.Fleet, yard *stats.Yardstick, use func(*rig) error) error {
	dir, err := os.MkdirTemp("", "bench-agent-")
	if err != nil {
		return fmt.Errorf("making the work folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &rig{o: o, machines: machines, dir: dir, yard: yard, orders: link.NewOutbox(), issuer: lease.NewIssuer(1)}
	if r.fleet, err = machines.Start(ctx, o.Bin, dir); err != nil {
		return err
	}
	defer r.fleet.Stop()
	options, err := r.startAgent()
	if err != nil {
		return err
	}
	defer r.agent.Stop(time.Second)
	r.issuer.Assign(r.assignment(), func(_, _ lease.Assignment) bool { return false })
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		link.Keep(ctx, options, nil)
	}()
	defer func() {
		cancel()
		<-kept
	}()
	if err := r.settle(ctx); err != nil {
		return fmt.Errorf("%w; the agent's log ends with: %s", err, proc.LastLines(filepath.Join(dir, "agent.log"), 3))
	}
	return use(r)
}

// startAgent makes certificates for both ends and starts the agent.
func (r *rig) startAgent() (link.Options, error) {
	now := stats.Now()
	ca, err := link.NewCA(now)
	if err != nil {
		return link.Options{}, fmt.Errorf("making certificates: %w", err)
	}
	server, errServer := ca.IssueServer(now, link.ServerName("mining", "bench"))
	own, errOwn := ca.IssueOperator(now)
	config, errConfig := link.ClientTLS(own, ca.CertPEM())
	if err := errors.Join(errServer, errOwn, errConfig); err != nil {
		return link.Options{}, fmt.Errorf("making certificates: %w", err)
	}
	for name, data := range map[string][]byte{"tls.crt": server.CertPEM, "tls.key": server.KeyPEM, "ca.crt": ca.CertPEM()} {
		if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o600); err != nil {
			return link.Options{}, fmt.Errorf("writing certificates: %w", err)
		}
	}
	credentials := filepath.Join(r.dir, "credentials")
	if err := r.writeCredentials(credentials); err != nil {
		return link.Options{}, err
	}
	r.agent, err = proc.Start(proc.Spec{
		Name: "miner-agent", Path: filepath.Join(r.o.Bin, "miner-agent"), LogPath: filepath.Join(r.dir, "agent.log"),
		Args: []string{
			"run", "--listen", agentAddress + ":" + agentPort, "--http", agentAddress + ":" + httpPort, "--tls-dir", r.dir,
			"--credentials-dir", credentials, "--pool", "mining/bench", "--pod-uid", podUID,
		},
	})
	return link.Options{
		Address: agentAddress + ":" + agentPort, ServerName: link.ServerName("mining", "bench"), PodUID: podUID,
		TLS: config, OnReport: r.report, Orders: r.orders,
	}, err
}

// report takes a report in as the operator does.
func (r *rig) report(m lease.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hello, err := r.issuer.Report(stats.Now(), m)
	r.issuer.Confirm(stats.Now())
	if err == nil && hello != nil {
		r.orders.PutHello(*hello)
	}
}

func (r *rig) newest() lease.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.issuer.Newest()
}

const ttl = 2 * time.Minute

// lease grants so many watts; false where the agent may not have a lease yet.
func (r *rig) lease(watts lease.Watts, within time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.issuer.Grant(stats.Now(), lease.Terms{Watts: watts, TTL: ttl, AsOf: r.issuer.Newest().AsOf, ShedWithin: within})
	if ok {
		r.orders.PutLease(m)
	}
	return ok
}

// settle grants all the agent could draw until every machine hashes and the agent knows it.
func (r *rig) settle(ctx context.Context) error {
	return await.Until(ctx, time.Minute, time.Second, func() error {
		n := r.newest()
		if n.Rated > 0 {
			r.lease(2*n.Rated, 0)
		}
		if n.Counts.Hashing != r.o.Devices || n.Bound > n.LeaseWatts {
			return fmt.Errorf("%d of %d machines hash, as the agent sees it", n.Counts.Hashing, r.o.Devices)
		}
		return nil
	})
}

// rest watches the agent's processor time while nothing changes; its lease is renewed as the operator does.
func (r *rig) rest(ctx context.Context, watch time.Duration, out *Result) error {
	if err := await.Wait(ctx, 10*time.Second); err != nil { // the start is over
		return err
	}
	before, clock := stats.CPUOf(r.agent.Pid()), stats.Start()
	for clock.Ms() < stats.Ms(watch) {
		if err := await.Wait(ctx, 5*time.Second); err != nil {
			return err
		}
		r.lease(2*r.newest().Rated, 0)
	}
	took := clock.Ms()
	out.CPUPercent = stats.Ms(stats.CPUOf(r.agent.Pid())-before) / took * 100
	out.WatchSeconds = took / 1000
	out.RSSMiB, out.PeakRSSMiB = stats.MemoryOf(r.agent.Pid())
	return nil
}
