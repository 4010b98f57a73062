package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Processes that steps can name besides operators and agents.
const (
	APIServer         = "apiserver"
	Etcd              = "etcd"
	ControllerManager = "controller-manager"
	Scheduler         = "scheduler"
	Kwok              = "kwok"
	Sim               = "sim"
	// Leader is the operator that holds the election's Lease when it is stopped, and the one stopped last
	// under this name when it is to go on.
	Leader = "leader"
)

var fixedProcesses = []string{APIServer, Etcd, ControllerManager, Scheduler, Kwok, Sim}

var operatorProcess = regexp.MustCompile(`^operator-(\d)$`)

var agentProcess = regexp.MustCompile(`^agent(-\d+|/[a-z0-9.-]+(/[a-z0-9.-]+)?)$`)

// Action names what a step does.
func (step Step) Action() string {
	actions := step.actions()
	if len(actions) != 1 {
		return ""
	}
	return actions[0]
}

func (step Step) actions() []string {
	var set []string
	add := func(name string, present bool) {
		if present {
			set = append(set, name)
		}
	}
	add("apply", !step.Apply.Empty())
	add("delete", step.Delete != nil)
	add("scale", step.Scale != nil)
	add("persona", step.Persona != nil)
	add("reboot", step.Reboot != nil)
	add("kill", step.Kill != "")
	add("pause", step.Pause != "")
	add("resume", step.Resume != "")
	add("stop", step.Stop != "")
	add("start", step.Start != "")
	add("dropLimit", step.DropLimit != nil)
	add("note", step.Note != "")
	add("await", step.Await != nil)
	return set
}

func (s *Scenario) checkTimeline(c *checker) {
	var last time.Duration
	for i, step := range s.Timeline {
		path := fmt.Sprintf("timeline[%d]", i)
		if actions := step.actions(); len(actions) != 1 {
			c.say(path, "want exactly one of apply, delete, scale, persona, reboot, kill, pause, resume, stop, start, dropLimit, note, await; got %v", actions)
			continue
		}
		last = step.checkTime(c, path, last)
		if step.Refused != "" && step.Action() != "apply" {
			c.say(path+".refused", "goes with apply only")
		}
		s.checkStep(c, path, step)
	}
	s.checkLeader(c)
}

// checkLeader: who is to go on must have been stopped by the same name.
func (s *Scenario) checkLeader(c *checker) {
	ways := map[string][]string{"resume": {"pause"}, "start": {"kill", "stop"}}
	before := map[string]bool{}
	for i, step := range s.Timeline {
		if step.Process() != Leader {
			continue
		}
		if need, ok := ways[step.Action()]; ok && !slices.ContainsFunc(need, func(way string) bool { return before[way] }) {
			c.say(fmt.Sprintf("timeline[%d].%s", i, step.Action()), "no step above it has %s: leader", strings.Join(need, " or "))
		}
		before[step.Action()] = true
	}
}

func (step Step) checkTime(c *checker, path string, last time.Duration) time.Duration {
	switch {
	case step.At != nil && step.After != nil:
		c.say(path, "has both at and after")
	case step.At == nil && step.After == nil && step.Await == nil:
		c.say(path+".at", "is missing")
	case step.At != nil && step.At.D < last:
		c.say(path+".at", "%s is before the step above it (%s)", step.At.D, last)
	case step.At != nil:
		return step.At.D
	}
	return last
}

func (s *Scenario) checkStep(c *checker, path string, step Step) {
	switch {
	case step.Delete != nil:
		step.Delete.check(c, path+".delete")
	case step.Scale != nil:
		c.need(path+".scale.name", step.Scale.Name)
		if step.Scale.Replicas < 0 {
			c.say(path+".scale.replicas", "want 0 or more")
		}
	case step.Persona != nil:
		c.oneOf(path+".persona.persona", step.Persona.Persona, personas...)
		s.checkMachines(c, path+".persona", step.Persona.Group, step.Persona.Address)
	case step.Reboot != nil:
		s.checkMachines(c, path+".reboot", step.Reboot.Group, step.Reboot.Address)
	case step.DropLimit != nil:
		c.need(path+".dropLimit.budget", step.DropLimit.Budget)
	case step.Await != nil:
		step.Await.check(c, path+".await")
	case step.Note == "":
		s.checkProcess(c, path+"."+step.Action(), step.Process())
	}
}

// Process is the process that a step is about.
func (step Step) Process() string {
	return step.Kill + step.Pause + step.Resume + step.Stop + step.Start
}

func (s *Scenario) checkProcess(c *checker, path, name string) {
	if name == "" || name == Leader || agentProcess.MatchString(name) {
		return
	}
	if found := operatorProcess.FindStringSubmatch(name); found != nil {
		if n, _ := strconv.Atoi(found[1]); n >= s.Operator.Replicas {
			c.say(path, "there is no %s: operator.replicas is %d", name, s.Operator.Replicas)
		}
		return
	}
	c.oneOf(path, name, append([]string{Leader, "operator-N", "agent-N", "agent/POD", "agent/NAMESPACE/POD"}, fixedProcesses...)...)
}

func (s *Scenario) checkMachines(c *checker, path, group, address string) {
	if (group == "") == (address == "") {
		c.say(path, "want either group or address")
		return
	}
	for _, g := range s.Fleet.Groups {
		if g.Name == group {
			return
		}
		for _, a := range g.Addresses() {
			if a.String() == address {
				return
			}
		}
	}
	c.say(path, "no machine of the fleet is in group %q or at address %q", group, address)
}

func (o Object) check(c *checker, path string) {
	c.need(path+".kind", o.Kind)
	c.need(path+".name", o.Name)
}

// conditions is how many an await names.
func (a Await) conditions() int {
	n := 0
	for _, present := range []bool{a.Workload != "", a.Pods != nil, a.MiningShare != nil, a.HealthyMining != nil, a.Draw != nil, a.Condition != nil, a.Gone != nil, a.Leader != ""} {
		if present {
			n++
		}
	}
	return n
}

func (a Await) check(c *checker, path string) {
	if a.conditions() != 1 {
		c.say(path, "want exactly one of workload, pods, miningSharePercent, healthyMiningPercent, draw, condition, gone, leader")
		return
	}
	switch {
	case a.Workload != "":
		if strings.Count(a.Workload, "/") != 1 {
			c.say(path+".workload", "want NAMESPACE/NAME, got %q", a.Workload)
		}
		c.oneOf(path+".is", a.Is, "Running", "Gated", "Admitted", "Ended")
	case a.Pods != nil:
		a.Pods.check(c, path+".pods")
	case a.Draw != nil:
		a.Draw.check(c, path+".draw")
	case a.Condition != nil:
		a.Condition.Object.check(c, path+".condition")
		c.need(path+".condition.type", a.Condition.Type)
	case a.Gone != nil:
		a.Gone.check(c, path+".gone")
	case a.Leader != "":
		c.oneOf(path+".leader", a.Leader, "Elected")
	}
}

func (d Draw) check(c *checker, path string) {
	c.need(path+".budget", d.Budget)
	if d.AtLeast == nil && d.AtMost == nil {
		c.say(path, "want atLeast or atMost")
	}
}

func (p Pods) check(c *checker, path string) {
	c.oneOf(path+".phase", p.Phase, "Pending", "Gated", "Running", "Succeeded", "Failed")
	if p.Count == nil && p.AtLeast == nil && p.AtMost == nil {
		c.say(path, "want count, atLeast or atMost")
	}
}
