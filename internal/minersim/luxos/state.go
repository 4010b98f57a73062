package luxos

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// sessionIdle is how long a session lives unused.
	sessionIdle = time.Minute
	// lag is what passes between a command and the first watt that moves (assumed).
	lag = 300 * time.Millisecond
	// sleepRamp keeps a sleep within the vendor's claim of five seconds.
	sleepRamp = 4 * time.Second
	// wakeLag and wakeRamp keep a wake within the vendor's claim of ten seconds to full.
	wakeLag, wakeRamp = 2 * time.Second, 7500 * time.Millisecond
	// coldWakeRamp is the first wake after a reboot, which can't be a fast one (assumed).
	coldWakeRamp = 60 * time.Second
	// stepRamp is the time a profile change takes for each step of 25 MHz (assumed).
	stepRamp = time.Second
	// bootInit is how long the miner software needs before it ramps (assumed).
	bootInit = 20 * time.Second
	// resetDip is how long resetminer keeps the chips off (assumed).
	resetDip = 15 * time.Second
	// boardDip is how long a board that reboots is off, by the vendor's word.
	boardDip = 5 * time.Second
)

// The built-in profiles: sixteen steps under the default, eight over it, 25 MHz apart.
const (
	lowestStep, highestStep = -16, 8
	stepMegaHertz           = 25
)

// profile is one of the built-in operating points.
type profile struct {
	name      string
	step      int
	megaHertz int
	watts     int
	teraHash  float64
	volts     float64
}

// profilesOf computes the points of one machine from its own nominal watts, as LuxOS reads them
// from the boards' memory.
func profilesOf(t *minersim.Traits) []profile {
	var out []profile
	for step := lowestStep; step <= highestStep; step++ {
		p := profile{step: step, megaHertz: t.Model.DefaultMegaHertz + stepMegaHertz*step}
		x := float64(p.megaHertz) / float64(t.Model.DefaultMegaHertz)
		p.name = strconv.Itoa(p.megaHertz) + "MHz"
		if step == 0 {
			p.name = "default"
		}
		p.watts = int(math.Round(t.NominalWatts * minersim.WattShare(x)))
		p.teraHash = math.Round(10*t.NominalTeraHashes*x) / 10
		p.volts = math.Round(100*math.Max(11.88, 13.5+0.15*float64(step))) / 100
		out = append(out, p)
	}
	return out
}

// atm is the automatic temperature mode; while it is on, profiles can't be set by hand.
type atm struct {
	enabled                     bool
	startupMinutes, rampMinutes int
	window                      float64 // degrees C
	minProfile, maxProfile      string
	// preventOverclock only ever lasts for the command that carries it.
	preventOverclock bool
}

// state is one machine's firmware. It is touched under the device's lock only.
type state struct {
	profiles []profile
	current  int // index into profiles
	asleep   bool
	cold     bool // not woken since the last boot
	psu      bool
	atm      atm

	session     string
	sessionUsed time.Duration
	issued      uint64
}

func newState(t *minersim.Traits, s minersim.Start) *state {
	return &state{
		profiles: profilesOf(t), current: -lowestStep, asleep: s.Asleep, psu: s.PSU,
		atm: atm{startupMinutes: 15, rampMinutes: 15, window: 5, maxProfile: "default"},
	}
}

// Boot keeps sleep, profile and ATM, which are saved, unless the boot is a hot one.
func (st *state) Boot(hot bool) minersim.Order {
	st.session = ""
	st.cold = true
	if hot {
		st.asleep, st.current, st.atm.enabled = false, -lowestStep, false
	}
	o := st.order()
	o.Lag, o.Ramp = bootInit, coldWakeRamp
	if !st.asleep {
		st.cold = false
	}
	return o
}

// order settles where sleep and profile say.
func (st *state) order() minersim.Order {
	if st.asleep {
		return minersim.Order{Lag: lag, Ramp: sleepRamp}
	}
	return minersim.Order{Watts: float64(st.profiles[st.current].watts), Lag: lag}
}

func (st *state) sleep(m *minersim.Machine) {
	st.asleep = true
	m.Command(st.order())
}

func (st *state) wake(m *minersim.Machine) {
	st.asleep = false
	o := st.order()
	o.Lag, o.Ramp = wakeLag, wakeRamp
	if st.cold {
		o.Ramp = coldWakeRamp
	}
	st.cold = false
	m.Command(o)
}

// setProfile ramps to another point, one step after the other. Asleep it only takes effect with
// the next wake.
func (st *state) setProfile(m *minersim.Machine, index int) {
	steps := max(index-st.current, st.current-index)
	st.current = index
	if st.asleep {
		return
	}
	o := st.order()
	o.Ramp = max(time.Second, time.Duration(steps)*stepRamp)
	m.Command(o)
}

// find looks a profile up: by name, by position relative to the current one, or by hashrate or
// watts, which must be those that a profile lists.
func (st *state) find(name string) (int, error) {
	matches := func(p profile) bool { return p.name == name }
	switch {
	case strings.HasPrefix(name, "+"), strings.HasPrefix(name, "-"):
		n, err := strconv.Atoi(name)
		want := st.profiles[st.current].step + n
		matches = func(p profile) bool { return err == nil && p.step == want }
	case slices.ContainsFunc(st.profiles, matches):
	default:
		matches = selector(name)
	}
	i := slices.IndexFunc(st.profiles, matches)
	if i < 0 {
		return 0, fmt.Errorf("profile %q not found", name)
	}
	return i, nil
}

// selector matches profiles by the number before a suffix: THs to one decimal, kW to two, W.
func selector(name string) func(profile) bool {
	for _, unit := range []struct {
		suffix string
		of     func(profile) float64
		scale  float64
	}{
		{"THs", func(p profile) float64 { return p.teraHash }, 10},
		{"kW", func(p profile) float64 { return float64(p.watts) / 1000 }, 100},
		{"W", func(p profile) float64 { return float64(p.watts) }, 1},
	} {
		number, ok := strings.CutSuffix(name, unit.suffix)
		want, err := strconv.ParseFloat(number, 64)
		if ok && err == nil {
			return func(p profile) bool {
				return math.Round(unit.of(p)*unit.scale) == math.Round(want*unit.scale)
			}
		}
	}
	return func(profile) bool { return false }
}

// live tells whether a session is held now.
func (st *state) live(now time.Duration) bool {
	return st.session != "" && now-st.sessionUsed < sessionIdle
}

// logon opens a session, or none while another is held.
func (st *state) logon(now time.Duration, serial string) (string, bool) {
	if st.live(now) {
		return "", false
	}
	st.issued++
	st.session, st.sessionUsed = sessionName(serial, st.issued), now
	return st.session, true
}

// use refreshes the session it is given, if that is the one held.
func (st *state) use(now time.Duration, id string) bool {
	if id == "" || !st.live(now) || id != st.session {
		return false
	}
	st.sessionUsed = now
	return true
}
