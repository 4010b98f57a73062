package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
)

// config is everything about a history that is drawn before it begins: a small site, how bad its network
// is, and what is done to it. The same seed and number draw the same.
type config struct {
	seed    uint64
	number  int
	budgets []budgetConfig
	pools   []poolConfig
	nodes   []nodeConfig
	works   []workConfig
	actions []action
	// faults end at calm; a history that is judged for liveness goes on until end.
	calm, end time.Duration
	live      bool
	wild      bool // personas that break the assumptions by physics
	quiet     bool // nothing happens but restarts: nobody may be shed

	lag          time.Duration // of watches
	slow         float64       // share of messages and requests that take seconds
	lost         float64       // share of requests and answers that are lost
	late         float64       // share of messages that arrive once more, or late
	offsets      [2]time.Duration
	haste        float64
	leaseSeconds int32
	releaseDelay int32
	uncertainty  int32
	// notReady is how long the control plane waits for a node's heartbeat, evict the tolerations after that.
	notReady, evict time.Duration
}

type budgetConfig struct {
	name, parent string
	limit, base  int64
	headroom     int64
	margin       int32
	evict        bool
}

type poolConfig struct {
	name     string
	budget   int
	devices  []deviceConfig
	perAgent int
	rated    int64
	floor    int64
	priority int32
	late     time.Duration // when it is created
}

type deviceConfig struct {
	model     int
	estimated bool
	short     float64
	lie       float64
	flutter   float64
	asleep    bool
	twin      bool // it tells the identity of the one before it
}

type nodeConfig struct {
	budget int
	gpus   int64
}

type workConfig struct {
	name      string
	budget    int // -1 is any
	pods      int
	gpus      int64
	watts     int64 // 0 is by the table
	minPods   int32
	standby   int32
	priority  int32
	evictable bool
	at        time.Duration
	work      time.Duration // how long a pod runs
	share     float64       // of its claim that a pod draws
	ungated   bool
	grace     time.Duration // that its pods may take to end, where it is longer than podGrace
}

// wattsPerGPU is what the built-in table counts for the accelerator that the model's pods ask for.
const wattsPerGPU = 1275

// draw makes the configuration of one history.
func draw(seed uint64, number int) config {
	d := &drawing{sim: &sim{rng: rand.New(rand.NewPCG(seed, uint64(number)))}}
	c := &d.c
	c.seed, c.number = seed, number
	kind := d.span(0, 39)
	c.wild = kind == 0
	c.quiet = kind == 1
	c.live = kind >= 2 && kind <= 4
	d.weather()
	d.site()
	d.plan()
	for i := range c.works {
		if d.chance(0.1) {
			c.works[i].grace = d.between(40*time.Second, 120*time.Second).Truncate(time.Second)
		}
	}
	return d.c
}

type drawing struct {
	*sim
	c config
}

// weather draws how bad the network and the API server are.
func (d *drawing) weather() {
	c := &d.c
	c.lag = pick(d.sim, []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond, 1500 * time.Millisecond})
	c.slow = pick(d.sim, []float64{0, 0, 0.005, 0.03})
	c.lost = pick(d.sim, []float64{0, 0, 0.01, 0.04})
	c.late = pick(d.sim, []float64{0, 0.01, 0.05, 0.15})
	c.haste = pick(d.sim, []float64{0, 0.3, 1})
	for i := range c.offsets {
		c.offsets[i] = d.between(-time.Second, time.Second)
	}
	c.leaseSeconds = int32(pick(d.sim, []int{15, 20, 30, 60}))
	c.releaseDelay = int32(pick(d.sim, []int{0, 0, 5, 20}))
	c.uncertainty = int32(d.span(0, 6))
	c.notReady, c.evict = pick(d.sim, []time.Duration{5 * time.Second, 40 * time.Second}), pick(d.sim, []time.Duration{0, 30 * time.Second})
	if c.quiet {
		c.slow, c.lost, c.late, c.lag = 0, 0, 0, 50*time.Millisecond
		c.leaseSeconds = 60
	}
}

// site draws budgets, pools, nodes and workloads, and limits that make them compete.
func (d *drawing) site() {
	c := &d.c
	n := pick(d.sim, []int{1, 1, 2, 2, 3})
	for i := range n {
		b := budgetConfig{name: string(rune('a' + i)), margin: int32(pick(d.sim, []int{0, 2, 5})), base: int64(d.span(0, 10)) * 100, evict: d.chance(0.45)}
		if i > 0 {
			b.parent = c.budgets[d.span(0, i-1)].name
		}
		if d.chance(0.25) {
			b.headroom = int64(d.span(1, 4)) * 1000
		}
		c.budgets = append(c.budgets, b)
	}
	for i := range pick(d.sim, []int{1, 1, 1, 2, 2, 3}) {
		d.pool(i)
	}
	for range d.span(1, 3) {
		c.nodes = append(c.nodes, nodeConfig{budget: d.span(0, n-1), gpus: int64(pick(d.sim, []int{2, 4, 8}))})
	}
	for i := range d.span(1, 3) {
		d.work(i)
	}
	d.limits()
}

func (d *drawing) pool(i int) {
	c := &d.c
	p := poolConfig{name: fmt.Sprintf("p%d", i), budget: d.span(0, len(c.budgets)-1), perAgent: d.span(1, 4)}
	if d.chance(0.2) {
		p.priority = int32(d.span(-5, 15))
	}
	if i > 0 && d.chance(0.2) {
		p.late = d.between(10*time.Second, 60*time.Second)
	}
	for range d.span(2, 4) {
		m := deviceConfig{
			model: d.span(0, len(models)-1), estimated: d.chance(0.7), short: 1 - float64(d.span(0, 6))/100, lie: 1,
			flutter: float64(d.span(0, 2)) / 400, asleep: p.late > 0 || d.chance(0.3),
		}
		if u := int(c.uncertainty); m.estimated && u > 0 {
			m.lie = 1 + float64(d.span(-u, u-1))/100
		}
		m.twin = len(p.devices) > 0 && d.chance(0.03)
		t := models[m.model]
		if !m.estimated && len(t.Modes) == 0 && t.Max == 0 {
			m.flutter = 0 // nothing but its meter bounds it
		}
		p.rated += int64(ratedOf(t, fit.Watts(c.uncertainty)))
		p.devices = append(p.devices, m)
	}
	if d.chance(0.3) {
		p.rated += int64(d.span(0, 1500))
	}
	if d.chance(0.2) {
		p.floor = int64(d.span(0, 3)) * 1000
	}
	c.pools = append(c.pools, p)
}

// ratedOf is the most a machine of a model may be counted at.
func ratedOf(t fit.Traits, uncertainty fit.Watts) fit.Watts {
	rated, top := t.Nameplate+(t.Nameplate*5+99)/100, t.Max
	for _, m := range t.Modes {
		top = max(top, m.Watts)
	}
	// Readings of the nameplate and of the highest target, both with the uncertainty on top.
	rated = max(rated, top+(top*uncertainty+99)/100)
	return max(rated, t.Nameplate+(t.Nameplate*2*uncertainty+99)/100)
}

func (d *drawing) work(i int) {
	c := &d.c
	w := workConfig{
		name: fmt.Sprintf("w%d", i), budget: -1, pods: d.span(1, 4), gpus: int64(d.span(1, 2)),
		priority: int32(pick(d.sim, []int{0, 0, 0, 5, 10})), evictable: d.chance(0.45),
		at: d.between(0, 45*time.Second), work: d.between(10*time.Second, 120*time.Second),
		share: pick(d.sim, []float64{1, 1, 1, 0.7}),
	}
	if d.chance(0.4) {
		w.budget = d.span(0, len(c.budgets)-1)
	}
	if d.chance(0.3) {
		w.watts = w.gpus * wattsPerGPU * int64(d.span(10, 20)) / 10
	}
	if d.chance(0.4) {
		w.minPods = int32(d.span(2, max(2, w.pods)))
	}
	if d.chance(0.2) {
		w.standby = int32(d.span(1, 2))
	}
	c.works = append(c.works, w)
}

// limits sets every budget's limit between what must be drawn and all that could be.
func (d *drawing) limits() {
	c := &d.c
	for i := len(c.budgets) - 1; i >= 0; i-- {
		b := &c.budgets[i]
		var all int64
		for n := range c.pools {
			if c.under(c.pools[n].budget, i) {
				all += c.pools[n].rated
			}
		}
		var ai int64
		for n := range c.nodes {
			if c.under(c.nodes[n].budget, i) {
				ai += c.nodes[n].gpus * wattsPerGPU
			}
		}
		all += min(ai, 6*wattsPerGPU)
		for n := range c.budgets {
			if c.under(n, i) {
				all += c.budgets[n].base
			}
		}
		b.limit = max(b.base+500, all*int64(d.span(35, 110))/100)
	}
}

// under tells whether budget i is budget top or below it.
func (c *config) under(i, top int) bool {
	for i != top {
		up := c.index(c.budgets[i].parent)
		if up < 0 {
			return false
		}
		i = up
	}
	return true
}

func (c *config) index(name string) int {
	for i := range c.budgets {
		if c.budgets[i].name == name {
			return i
		}
	}
	return -1
}
