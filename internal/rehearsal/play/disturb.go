package play

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// disturb acts on a process. What a scenario disturbs may end in any way.
func (g *stage) disturb(ctx context.Context, step scenario.Step) error {
	name, action := step.Process(), step.Action()
	if name == scenario.Leader {
		operator, err := g.election.meant(ctx, action)
		if err != nil {
			return err
		}
		g.happened("the leader is " + operator)
		name = operator
	}
	target, key, err := g.target(name)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.disturbed[key] = true
	g.mu.Unlock()
	if err := g.do(ctx, action, target); err != nil {
		return err
	}
	g.election.disturbed(name, action)
	return nil
}

func (g *stage) do(ctx context.Context, action string, target proc.Target) error {
	switch action {
	case "kill":
		return kill(target)
	case "pause":
		return target.Signal(syscall.SIGSTOP)
	case "resume":
		return target.Signal(syscall.SIGCONT)
	case "stop":
		return target.Halt()
	}
	if s, ok := target.(*proc.Service); ok && s.Name() == scenario.Sim {
		return g.restartSim(ctx, s)
	}
	return target.Start()
}

// kill is done where there is nothing left to kill: a fault may meet what another one ended before.
func kill(target proc.Target) error {
	if err := target.Signal(syscall.SIGKILL); !errors.Is(err, proc.ErrEnded) {
		return err
	}
	return nil
}

// target finds a process, and the name under which its end is told.
func (g *stage) target(name string) (proc.Target, string, error) {
	if strings.HasPrefix(name, "agent") {
		key, err := g.kubelet.Key(name)
		if err != nil {
			return nil, "", err
		}
		t, err := g.kubelet.Find(key)
		return t, key, err
	}
	if s := g.cluster.Process(name); s != nil {
		return s, name, nil
	}
	return nil, "", errors.New("there is no process " + name)
}
