package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/report"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// ErrInterrupted says that somebody ended the rehearsal before it was over.
var ErrInterrupted = errors.New("interrupted")

// Play a scenario and judge it. An error means that it could not be played; what did not hold is in the
// report.
func Play(ctx context.Context, opts Options, s *scenario.Scenario) (judge.Report, error) {
	g, err := prepare(ctx, opts, s)
	if err != nil {
		return judge.Report{}, err
	}
	kept := false
	defer func() {
		g.strike()
		if kept || opts.WorkDir != "" {
			return
		}
		_ = os.RemoveAll(g.dir)
	}()
	if err := g.set(ctx); err != nil {
		if ctx.Err() != nil {
			return judge.Report{}, ErrInterrupted
		}
		return judge.Report{}, err
	}
	began := g.clock.Now()
	h, err := g.run(ctx, began)
	if err != nil {
		return judge.Report{}, err
	}
	r := g.judge(h, began)
	if err := g.show(r, h); err != nil {
		return r, err
	}
	if !r.OK {
		kept = true
		g.say("logs and samples are in %s", g.dir)
	}
	if opts.Keep {
		g.lookAround()
		<-ctx.Done()
	}
	return r, nil
}

// run waits for the start and walks the timeline, telling what it sees.
func (g *stage) run(ctx context.Context, began time.Time) (history, error) {
	told, quiet := context.WithCancel(ctx)
	done := make(chan struct{})
	started := make(chan time.Time, 1)
	go func() {
		defer close(done)
		g.narrate(told, began, started)
	}()
	defer func() {
		quiet()
		<-done
	}()
	if err := g.awaitStart(ctx); err != nil {
		if ctx.Err() != nil {
			return history{}, ErrInterrupted
		}
		// What kept it from starting is a judgement, not a mistake in the file.
		g.fail("the start: %v", err)
		return history{zero: g.clock.Now()}, nil
	}
	started <- g.clock.Now()
	h, err := g.walk(ctx)
	if err != nil {
		return h, ErrInterrupted
	}
	return h, nil
}

// awaitStart waits for a leader, for agents, for mining to fill, and for what the scenario asks for.
func (g *stage) awaitStart(ctx context.Context) error {
	start := g.s.Startup
	deadline := g.clock.Now().Add(start.Timeout.D)
	waits := []func(context.Context) error{g.election.leads, g.agentsRun}
	if *start.MiningSharePercent > 0 && len(g.s.Fleet.Groups) > 0 {
		waits = append(waits, func(context.Context) error {
			return g.miningHas(*start.MiningSharePercent, g.clock.Now().Add(-time.Second))
		})
	}
	for _, wait := range waits {
		if err := g.waitFor(ctx, deadline.Sub(g.clock.Now()), wait); err != nil {
			return err
		}
	}
	for i, a := range start.Await {
		if err := g.await(ctx, a); err != nil {
			return fmt.Errorf("startup.await[%d]: %w", i, err)
		}
	}
	return nil
}

func (g *stage) judge(h history, began time.Time) judge.Report {
	end := g.clock.Now()
	// One more look after the end, so that the last one judged is not missing by chance.
	_ = until(context.Background(), time.Second, func() error {
		if last, there := g.readings.last(); there && !last.At.Before(end) {
			return nil
		}
		return errors.New("not yet")
	})
	fleet := g.fleetAtTheEnd()
	pods, events, budgets := g.observer.seen()
	g.mu.Lock()
	failures := append([]string{}, g.failures...)
	g.mu.Unlock()
	return judge.Judge(judge.Run{
		Scenario: g.s.Name, Began: began, Zero: h.zero, End: end, Samples: g.readings.all(), Pods: pods, Curtailments: events,
		Budgets: budgets, Fleet: g.machines.seen(), Steps: h.steps, Failures: failures, Rules: g.s.Judge,
		Machines: fleet,
	})
}

// fleetAtTheEnd is what each machine does and who was told of it; nothing where the simulator is down.
func (g *stage) fleetAtTheEnd() []judge.Machine {
	if len(g.s.Fleet.Groups) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	all, err := g.machines.truth(ctx)
	if err != nil {
		return nil
	}
	g.observer.toldOf(all)
	return all
}

func (g *stage) show(r judge.Report, h history) error {
	g.say("")
	if err := report.Table(g.opts.Out, r); err != nil {
		return err
	}
	dir := g.opts.ReportDir
	if dir == "" {
		return nil
	}
	if err := report.WriteJSON(dir, r); err != nil {
		return err
	}
	verdict := "ok"
	if !r.OK {
		verdict = "not ok"
	}
	over := 0.0
	for _, ws := range r.WattSecondsOver {
		over += ws
	}
	picture := report.Picture{
		Title: fmt.Sprintf("%s: %s, %.0f watt-seconds over any limit", r.Scenario, verdict, over),
		Zero:  h.zero, Samples: g.readings.all(), Marks: h.marks,
	}
	if err := picture.Save(dir); err != nil {
		return err
	}
	g.say("report: %s and %s", filepath.Join(dir, "report.json"), filepath.Join(dir, "power.svg"))
	return nil
}

// lookAround tells how to look at what is kept running.
func (g *stage) lookAround() {
	kubectl := filepath.Join(g.opts.BinDir, "k8s", "kubectl")
	g.say(`
Everything goes on running until you press Ctrl-C. In another terminal:

  export KUBECONFIG=%s
  %s get counterweight -A
  %s describe powerbudget
  %s get pods -A
  tail -f %s
`, g.cluster.Kubeconfig, kubectl, kubectl, kubectl, filepath.Join(g.dir, "logs", "operator-0.log"))
	if g.machines.url != "" {
		g.say("  curl -s %s/watts", g.machines.url)
	}
}
