package whatsminer

import (
	"strconv"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// writes need a token.
var writes = map[string]func(*call, fields) answer{
	"power_off":                 powerOff,
	"power_on":                  func(c *call, _ fields) answer { c.powerOn(c.m); return c.done() },
	"set_low_power":             func(c *call, _ fields) answer { return c.setMode(0) },
	"set_normal_power":          func(c *call, _ fields) answer { return c.setMode(normalMode) },
	"set_high_power":            func(c *call, _ fields) answer { return c.setMode(2) },
	"adjust_power_limit":        adjustPowerLimit,
	"set_power_pct":             func(c *call, f fields) answer { return c.setPercentOf(f, false) },
	"set_power_pct_v2":          func(c *call, f fields) answer { return c.setPercentOf(f, true) },
	"set_power":                 setPower,
	"restore_power_pct":         func(c *call, _ fields) answer { return c.doneIf(c.setPercent(c.m, 100, false)) },
	"enable_btminer_fast_boot":  func(c *call, _ fields) answer { c.fastBoot = true; return c.done() },
	"disable_btminer_fast_boot": func(c *call, _ fields) answer { c.fastBoot = false; return c.done() },
	"enable_btminer_init":       func(c *call, _ fields) answer { c.initial = true; return c.done() },
	"disable_btminer_init":      func(c *call, _ fields) answer { c.initial = false; return c.done() },
	"adjust_upfreq_speed":       adjustUpfreqSpeed,
	"restart_btminer":           func(c *call, _ fields) answer { c.restart(c.m, 0); return c.done() },
	"reboot":                    func(c *call, _ fields) answer { c.m.CommandReboot(false); return answer{silent: true} },
}

func (c *call) done() answer { return c.plain(c.ok("API command OK")) }

func (c *call) doneIf(ok bool) answer {
	if !ok {
		return c.plain(c.fail(codeError))
	}
	return c.done()
}

// powerOff replies only where it is told to reply before it acts.
func powerOff(c *call, f fields) answer {
	c.powerOff(c.m)
	if f.text("respbefore") != "true" {
		return answer{silent: true}
	}
	return c.done()
}

// setMode restarts, and the reply is lost in that.
func (c *call) setMode(mode int) answer {
	c.mode = mode
	c.takeEffect(c.m)
	return answer{silent: true}
}

// number is a whole parameter within bounds.
func (f fields) number(name string, least, most int) (int, bool) {
	n, err := strconv.Atoi(f.text(name))
	return n, err == nil && n >= least && n <= most
}

func adjustPowerLimit(c *call, f fields) answer {
	n, ok := f.number("power_limit", 0, maxWatts)
	if !ok {
		return c.plain(c.fail(codeInvalidCommand))
	}
	c.setLimit(c.m, n)
	return c.done()
}

// setLimit restarts, also for the limit it has.
func (st *state) setLimit(m *minersim.Machine, watts int) {
	st.limit = watts
	st.takeEffect(m)
}

func (c *call) setPercentOf(f fields, slow bool) answer {
	n, ok := f.number("percent", 0, 100)
	if !ok {
		return c.plain(c.fail(codeInvalidCommand))
	}
	return c.doneIf(c.setPercent(c.m, n, slow))
}

func setPower(c *call, f fields) answer {
	n, ok := f.number("power", 1, maxWatts)
	if !ok {
		return c.plain(c.fail(codeInvalidCommand))
	}
	return c.doneIf(c.setWatts(c.m, n))
}

// adjustUpfreqSpeed is taken beside fast boot too, which the manual rules out and a guide
// recommends; fast boot wins.
func adjustUpfreqSpeed(c *call, f fields) answer {
	n, ok := f.number("upfreq_speed", 0, 9)
	if !ok {
		return c.plain(c.fail(codeInvalidCommand))
	}
	c.upfreq = n
	return c.done()
}

// elapsed is how long the mining software has been up.
func (c *call) elapsed() int { return int(max(0, c.m.Uptime()-c.begun) / time.Second) }
