package scenario

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

type checker struct{ problems Problems }

func (c *checker) say(path, format string, args ...any) {
	c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
}

func (c *checker) need(path, value string) {
	if value == "" {
		c.say(path, "is missing")
	}
}

func (c *checker) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.say(path, "%q is not one of %v", value, allowed)
	}
}

func (s *Scenario) check() Problems {
	c := &checker{}
	s.checkFleet(c)
	s.checkNodes(c)
	c.oneOf("operator.restart", s.Operator.Restart, "Always", "Never")
	for i := range s.Startup.Await {
		s.Startup.Await[i].check(c, fmt.Sprintf("startup.await[%d]", i))
	}
	s.checkTimeline(c)
	for i, name := range s.Judge.NamedPersonas {
		c.oneOf(fmt.Sprintf("judge.namedPersonas[%d]", i), name, personas...)
	}
	s.checkBudgets(c)
	return c.problems
}

// personas that simulated machines can take.
var personas = func() (names []string) {
	for _, p := range minersim.Personas {
		names = append(names, string(p))
	}
	return names
}()

// reserved is where the control plane and the agents live.
var reserved = netip.MustParsePrefix("127.0.0.0/16")

var loopback = netip.MustParsePrefix("127.0.0.0/8")

func (s *Scenario) checkFleet(c *checker) {
	names := map[string]bool{}
	taken := map[netip.Addr]string{}
	for i, g := range s.Fleet.Groups {
		path := fmt.Sprintf("fleet.groups[%d]", i)
		g.check(c, path)
		if names[g.Name] {
			c.say(path+".name", "%q is used twice", g.Name)
		}
		names[g.Name] = true
		for _, a := range g.Addresses() {
			if other, ok := taken[a]; ok {
				c.say(path+".firstAddress", "%s is also in group %s", a, other)
				break
			}
			taken[a] = g.Name
		}
	}
	if c.problems == nil && len(s.Fleet.Groups) > 0 {
		if _, err := s.FleetFile(); err != nil {
			c.say("fleet", "%v", err)
		}
	}
}

// FleetFile is the fleet as asic-sim reads it.
func (s *Scenario) FleetFile() ([]byte, error) {
	data, err := yaml.Marshal(map[string]any{"seed": s.Seed, "groups": s.Fleet.Groups})
	if err != nil {
		return nil, fmt.Errorf("writing the fleet file: %w", err)
	}
	_, err = minersim.ParseFleet(data)
	return data, err
}

func (g FleetGroup) check(c *checker, path string) {
	c.need(path+".name", g.Name)
	c.need(path+".model", g.Model)
	c.need(path+".firmware", g.Firmware)
	c.need(path+".budget", g.Budget)
	if g.Count < 1 || g.Count > 65536 {
		c.say(path+".count", "want 1 to 65536, got %d", g.Count)
		return
	}
	if g.Initial != "" {
		c.oneOf(path+".initial", g.Initial, "Hashing", "Sleeping")
	}
	all := g.Addresses()
	if len(all) < g.Count || !loopback.Contains(all[len(all)-1]) || reserved.Contains(all[0]) {
		c.say(path+".firstAddress", "want %d addresses from it inside 127.1.0.0 to 127.255.255.255, got %q", g.Count, g.FirstAddress)
	}
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(g.Personas)) {
		c.oneOf(path+".personas", name, personas...)
		bad += g.Personas[name]
	}
	if bad > g.Count {
		c.say(path+".personas", "%d machines in all, more than count %d", bad, g.Count)
	}
}

// Addresses of the group's machines; none where they can't be told.
func (g FleetGroup) Addresses() []netip.Addr {
	a, err := netip.ParseAddr(g.FirstAddress)
	if err != nil || !a.Is4() || !loopback.Contains(a) {
		return nil
	}
	out := make([]netip.Addr, 0, max(g.Count, 0))
	for range g.Count {
		out = append(out, a)
		a = a.Next()
	}
	return out
}

func (s *Scenario) checkNodes(c *checker) {
	names := map[string]bool{"mining": true}
	for i, g := range s.GPUNodes {
		path := fmt.Sprintf("gpuNodes[%d]", i)
		c.need(path+".name", g.Name)
		c.need(path+".budget", g.Budget)
		if names[g.Name] {
			c.say(path+".name", "%q is used twice (or is \"mining\", which is taken)", g.Name)
		}
		names[g.Name] = true
		if g.Count < 1 || g.Count > 5000 {
			c.say(path+".count", "want 1 to 5000, got %d", g.Count)
		}
		if g.GPUs < 1 {
			c.say(path+".gpus", "want 1 or more, got %d", g.GPUs)
		}
	}
	if s.MiningNodes.Count < 1 || s.MiningNodes.Count > 1000 {
		c.say("miningNodes.count", "want 1 to 1000, got %d", s.MiningNodes.Count)
	}
	if s.Operator.Replicas < 1 || s.Operator.Replicas > 9 {
		c.say("operator.replicas", "want 1 to 9, got %d", s.Operator.Replicas)
	}
}

// checkBudgets: true watts must be drawn at budgets that some manifest makes, else nothing limits them.
func (s *Scenario) checkBudgets(c *checker) {
	known := s.budgetNames(c)
	if c.problems != nil {
		return
	}
	want := func(path, name string) {
		if !known[name] {
			c.say(path, "no manifest makes a PowerBudget named %q", name)
		}
	}
	for i, g := range s.Fleet.Groups {
		want(fmt.Sprintf("fleet.groups[%d].budget", i), g.Budget)
	}
	for i, g := range s.GPUNodes {
		want(fmt.Sprintf("gpuNodes[%d].budget", i), g.Budget)
	}
	for _, name := range slices.Sorted(maps.Keys(s.BaseWatts)) {
		want("baseWatts."+name, name)
	}
	for i, step := range s.Timeline {
		if step.DropLimit != nil {
			want(fmt.Sprintf("timeline[%d].dropLimit.budget", i), step.DropLimit.Budget)
		}
	}
}

func (s *Scenario) budgetNames(c *checker) map[string]bool {
	known := map[string]bool{}
	add := func(path string, m Manifests) {
		objects, err := m.Objects(time.Time{})
		if err != nil {
			c.say(path, "%v", err)
		}
		for _, o := range objects {
			if o.GetKind() == "PowerBudget" {
				known[o.GetName()] = true
			}
		}
	}
	add("manifests", s.Manifests)
	for i := range s.Timeline {
		add(fmt.Sprintf("timeline[%d].apply", i), s.Timeline[i].Apply)
	}
	return known
}
