package play

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/report"
)

// narrate writes one line a second until ctx ends: what was true, and what happened since the line before.
// Seconds count from began, and once the timeline has started, from its zero.
func (g *stage) narrate(ctx context.Context, began time.Time, started <-chan time.Time) {
	from, form := began, "start+%d"
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case from = <-started:
			form = "%d s"
		case <-timer.C:
			g.tell(fmt.Sprintf(form, int(g.clock.Now().Sub(from).Seconds())))
		}
		// The next full second, and a little, so that no line repeats a second.
		gone := g.clock.Now().Sub(from)
		timer.Reset(gone.Truncate(time.Second) + time.Second + 5*time.Millisecond - gone)
	}
}

func (g *stage) tell(clock string) {
	if sample, there := g.readings.last(); there {
		line(g.opts.Out, clock, sample, g.observer.gatedNow(), g.drain())
	}
}

func line(out io.Writer, clock string, sample meter.Sample, gated int, events []string) {
	r := sample.Roots()
	limit := "none"
	if r.Limit != nil {
		limit = report.Watts(*r.Limit)
	}
	text := fmt.Sprintf("%9s  limit %9s  base %9s  mining %9s  AI %9s  gated %3d", clock, limit, report.Watts(r.Base), report.Watts(r.Mining), report.Watts(r.AI), gated)
	if r.Over() > 0 {
		text += "  OVER by " + report.Watts(r.Over())
	}
	if len(events) > 0 {
		text += "  | " + strings.Join(events, "; ")
	}
	fmt.Fprintln(out, text)
}

// drain takes what happened since it was last asked, and what is awaited.
func (g *stage) drain() []string {
	var out []string
	g.mu.Lock()
	if g.waiting != "" {
		out = append(out, g.waiting)
	}
	g.mu.Unlock()
	for {
		select {
		case e := <-g.events:
			out = append(out, e)
		default:
			return out
		}
	}
}
