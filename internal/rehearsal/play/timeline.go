package play

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/report"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// history is what the timeline did.
type history struct {
	zero  time.Time
	steps []judge.Step
	marks []report.Mark
}

// walk fires the steps in order and stays until the duration is over. A step that fails is a failure of
// the rehearsal; the ones after it still fire.
func (g *stage) walk(ctx context.Context) (history, error) {
	h := history{zero: g.clock.Now()}
	last := h.zero
	for i, step := range g.s.Timeline {
		due := last
		switch {
		case step.At != nil:
			due = h.zero.Add(step.At.D)
		case step.After != nil:
			due = last.Add(step.After.D)
		}
		if err := g.sleepUntil(ctx, due); err != nil {
			return h, err
		}
		g.fire(ctx, i, step, &h)
		last = g.clock.Now()
		if ctx.Err() != nil {
			return h, ctx.Err()
		}
	}
	return h, g.sleepUntil(ctx, h.zero.Add(g.s.Duration.D))
}

func (g *stage) sleepUntil(ctx context.Context, t time.Time) error {
	wait := t.Sub(g.clock.Now())
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (g *stage) fire(ctx context.Context, i int, step scenario.Step, h *history) {
	label := labelOf(step)
	if step.Await != nil {
		g.fireAwait(ctx, i, step, h)
		return
	}
	now := g.clock.Now()
	done := judge.Step{At: now, Label: label, Quiet: step.Note != ""}
	if step.Within != nil {
		done.Within = step.Within.D
	}
	h.steps = append(h.steps, done)
	h.marks = append(h.marks, report.Mark{At: now, Label: label})
	g.happened(label)
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := g.act(limited, step); err != nil && ctx.Err() == nil {
		g.fail("timeline[%d] (%s): %v", i, label, err)
		g.happened("that failed: " + err.Error())
	}
}

// fireAwait marks what was awaited when it has come true.
func (g *stage) fireAwait(ctx context.Context, i int, step scenario.Step, h *history) {
	if err := g.await(ctx, *step.Await); err != nil {
		if ctx.Err() == nil {
			g.fail("timeline[%d] (%s): %v", i, labelOf(step), err)
			g.happened("awaited in vain: " + err.Error())
		}
		return
	}
	if step.Label != "" {
		h.marks = append(h.marks, report.Mark{At: g.clock.Now(), Label: step.Label})
		g.happened(step.Label)
	}
}

func (g *stage) act(ctx context.Context, step scenario.Step) error {
	switch step.Action() {
	case "apply":
		if step.Refused != "" {
			return refusedWith(step.Refused, g.apply(ctx, step.Apply))
		}
		return g.apply(ctx, step.Apply)
	case "delete":
		o := step.Delete
		return g.writer.Delete(ctx, kindOf(o.APIVersion, o.Kind), o.Namespace, o.Name)
	case "scale":
		return g.scale(ctx, *step.Scale)
	case "dropLimit":
		return g.dropLimit(ctx, *step.DropLimit)
	case "persona":
		return g.machines.persona(ctx, *step.Persona, g.clock.Now())
	case "reboot":
		return g.machines.reboot(ctx, *step.Reboot)
	case "kill", "pause", "resume", "stop", "start":
		return g.disturb(ctx, step)
	}
	return nil
}

func (g *stage) scale(ctx context.Context, s scenario.Scale) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": s.Replicas}})
	if err != nil {
		return fmt.Errorf("writing a patch: %w", err)
	}
	return g.writer.Merge(ctx, kindOf(s.APIVersion, s.Kind), s.Namespace, s.Name, patch, "scale")
}

func (g *stage) dropLimit(ctx context.Context, d scenario.DropLimit) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"limitWatts": fmt.Sprint(d.LimitWatts.N)}})
	if err != nil {
		return fmt.Errorf("writing a patch: %w", err)
	}
	return g.writer.Merge(ctx, kindOf("", "PowerBudget"), "", d.Budget, patch)
}

// labelOf a step, in a few words.
func labelOf(step scenario.Step) string {
	if step.Label != "" {
		return step.Label
	}
	switch step.Action() {
	case "apply":
		return labelOfApply(step)
	case "delete":
		return fmt.Sprintf("delete %s %s", step.Delete.Kind, step.Delete.Name)
	case "scale":
		return fmt.Sprintf("scale %s to %d", step.Scale.Name, step.Scale.Replicas)
	case "dropLimit":
		return fmt.Sprintf("limit of %s to %s", step.DropLimit.Budget, report.Watts(step.DropLimit.LimitWatts.N))
	case "persona":
		return fmt.Sprintf("%s turn %s", machinesOf(step.Persona.Group, step.Persona.Address, step.Persona.Count), step.Persona.Persona)
	case "reboot":
		return "reboot " + machinesOf(step.Reboot.Group, step.Reboot.Address, step.Reboot.Count)
	case "note":
		return step.Note
	case "await":
		return "await"
	}
	return step.Action() + " " + step.Process()
}

func labelOfApply(step scenario.Step) string {
	if step.Refused != "" {
		return namesOf(step.Apply) + " is refused"
	}
	return "apply " + namesOf(step.Apply)
}

func machinesOf(group, address string, count int) string {
	switch {
	case address != "":
		return address
	case count > 0:
		return fmt.Sprintf("%d of %s", count, group)
	}
	return "all of " + group
}

// namesOf the objects that matter to a reader, not what they need around them.
func namesOf(m scenario.Manifests) string {
	objects, err := m.Objects(time.Time{})
	if err != nil || len(objects) == 0 {
		return ""
	}
	var names []string
	for _, o := range objects {
		if o.GetKind() != "Namespace" && o.GetKind() != "GPUWorkload" && o.GetKind() != "Secret" {
			names = append(names, o.GetKind()+" "+o.GetName())
		}
	}
	if len(names) == 0 {
		names = []string{objects[0].GetKind() + " " + objects[0].GetName()}
	}
	if len(names) > 2 {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return strings.Join(names, ", ")
}
