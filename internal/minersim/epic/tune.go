package epic

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// algorithm is one of perpetual tuning and how it is set.
type algorithm struct {
	name, title string
	inWatts     bool
	least, most int
	// target, throttle and step are in TH/s, or in W; the last two do nothing here.
	target         int
	throttle, step *int
}

// tuning is what the vendor calls perpetual tune.
type tuning struct {
	on         bool
	algorithms []algorithm
	current    int
	errors     bool
	// since is when the tuner got its last task, on the machine's clock.
	since time.Duration
}

// Bounds of targets: those one S19 XP of 143 TH/s listed, and in watts the vendor's dashboard's
// lowest and the supply's most.
const (
	leastShare, mostShare = 60.0 / 143, 300.0 / 143
	leastWatts, wattStep  = 1000, 100
)

// powerName is what the algorithm that holds watts is called; the oldest version has none.
func (st *state) powerName() string {
	switch st.version {
	case oldest:
		return ""
	case newest:
		return "PowerTune"
	default:
		return "Power"
	}
}

func (st *state) defaultTuning() tuning {
	th := st.model.TeraHashes
	throttle, step := int(math.Round(0.35*th)), 5
	t := tuning{on: true, since: -time.Hour}
	for _, a := range []algorithm{{name: "VoltageOptimizer", title: "Voltage Optimizer"}, {name: "ChipTune", title: "Chip Tune"}, {name: "BoardTune", title: "Board Tune"}} {
		a.least, a.most = int(math.Round(leastShare*th)), int(math.Round(mostShare*th))
		a.target, a.throttle, a.step = int(math.Round(th)), &throttle, &step
		t.algorithms = append(t.algorithms, a)
	}
	if name := st.powerName(); name != "" {
		watts, floor, down := int(math.Round(st.model.Watts)), leastWatts, wattStep
		t.algorithms = append(t.algorithms, algorithm{
			name: name, title: "Power Tune", inWatts: true, target: watts, throttle: &floor, step: &down,
			least: min(leastWatts, watts/3), most: wattStep * int(math.Ceil(1.2*st.model.Watts/wattStep)),
		})
	}
	return t
}

func (a algorithm) unit() string {
	if a.inWatts {
		return "W"
	}
	return "TH/s"
}

// stats is an algorithm as summary and perpetualtune show it.
func (c *call) stats(i int) object {
	a := c.tuning.algorithms[i]
	stats := object{
		"Min Throttle Target": a.throttle, "Optimized": c.optimized(i), "Target": a.target, "Throttle Step": a.step,
		"Throttle Target": nil, "Unit": a.unit(),
	}
	if to, ok := c.throttled(i); ok {
		stats["Throttle Target"] = to
	}
	return stats
}

// throttled is the target that the tuner has gone down to by itself, in the algorithm's own unit.
func (c *call) throttled(i int) (int, bool) {
	if !c.tuning.on || i != c.tuning.current || c.m.Drift() >= 1 {
		return 0, false
	}
	a, watts := c.tuning.algorithms[i], c.watts()*c.m.Drift()
	if a.inWatts {
		return int(math.Round(watts)), true
	}
	return int(math.Round(c.terahash * minersim.HashShare(watts/c.nominal))), true
}

// optimized tells whether the tuner has done what it can.
func (c *call) optimized(i int) bool {
	s := c.operating(c.m.Now())
	return c.tuning.on && i == c.tuning.current && s == mining && c.m.Now()-c.tuning.since > optimizing
}

// setTuning switches tuning on or off; off leaves the clocks where they are.
func setTuning(c *call) error {
	var on bool
	if err := c.read(&on); err != nil {
		return err
	}
	if on == c.tuning.on {
		return nil
	}
	if !on {
		c.manual.megaHertz = c.clockFor(c.watts())
	}
	c.tuning.on = on
	c.adjust(c.m)
	return nil
}

// clockFor is the clock that takes so many watts of the enabled boards.
func (st *state) clockFor(watts float64) float64 {
	return minersim.HashShare(watts/st.nominal/st.share()) * float64(st.model.DefaultMegaHertz)
}

// setAlgorithm switches tuning on, too. A target out of range is moved into it, as the vendor says
// of clocks and fans (assumed for this).
func setAlgorithm(c *call) error {
	var q struct {
		Algorithm string `json:"algo"`
		Target    *int   `json:"target"`
		Throttle  *int   `json:"min_throttle"`
		Step      *int   `json:"throttle_step"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	i := c.findAlgorithm(q.Algorithm)
	switch {
	case i < 0 || q.Target == nil || *q.Target < 0:
		return unknown()
	case c.pending(c.m.Now(), false) != "":
		return no(object{"LastCmdStillPending": c.pending(c.m.Now(), false)})
	}
	a := &c.tuning.algorithms[i]
	a.target, a.throttle, a.step = min(max(*q.Target, a.least), a.most), q.Throttle, q.Step
	c.tuning.current, c.tuning.on = i, true
	c.adjust(c.m)
	return nil
}

func (st *state) findAlgorithm(name string) int {
	for i, a := range st.tuning.algorithms {
		if a.name == name {
			return i
		}
	}
	return -1
}

func resetAlgorithm(c *call) error {
	var name string
	if err := c.read(&name); err != nil {
		return err
	}
	if c.findAlgorithm(name) < 0 {
		return unknown()
	}
	c.tuning.since = c.m.Now()
	return nil
}

// manual is what is set by hand, in force while tuning is off.
type manual struct {
	megaHertz  float64
	millivolts int
}

const (
	// maxClock and maxVolts are the vendor's: what is higher is set to these.
	maxClock, maxVolts = 1000, 15000
	minClock           = 50
	defaultVolts       = 12900
)

func (st *state) defaultManual() manual {
	return manual{float64(st.model.DefaultMegaHertz), defaultVolts}
}

// number is one, or the text of one.
type number float64

// UnmarshalJSON takes both.
func (n *number) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		data = []byte(s)
	}
	f, err := strconv.ParseFloat(string(data), 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	*n = number(f)
	return err
}

// tuneByHand takes clocks and voltage, and watts to stay under while it does. Tuning goes off with
// it (assumed).
func tuneByHand(c *call) error {
	var q struct {
		Clocks  *number `json:"clks"`
		Voltage *number `json:"voltage"`
		Limit   *number `json:"power_limit"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if q.Clocks == nil || q.Voltage == nil {
		return unknown()
	}
	return c.setClock(q.Clocks, q.Voltage, q.Limit)
}

func tuneClock(c *call) error {
	var clock number
	if err := c.read(&clock); err != nil {
		return err
	}
	return c.setClock(&clock, nil, nil)
}

func tuneVoltage(c *call) error {
	var volts number
	if err := c.read(&volts); err != nil {
		return err
	}
	return c.setClock(nil, &volts, nil)
}

// setClock goes where it is told, but not above the limit, unless the machine is there already and
// the new clock is a lower one. The voltage moves no watts here.
func (c *call) setClock(clock, volts, limit *number) error {
	if p := c.pending(c.m.Now(), true); p != "" {
		return no(object{"LastCmdStillPending": p})
	}
	before := c.watts()
	if c.tuning.on {
		c.manual.megaHertz, c.tuning.on = c.clockFor(before), false
	}
	if volts != nil {
		c.manual.millivolts = int(min(max(*volts, 0), maxVolts))
	}
	if clock != nil {
		c.manual.megaHertz = min(max(float64(*clock), minClock), maxClock)
	}
	if limit != nil && c.watts() > float64(*limit) && c.watts() > before {
		c.manual.megaHertz = max(minClock, c.clockFor(max(before, float64(*limit))))
	}
	c.adjust(c.m)
	return nil
}
