package avalon

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m   *minersim.Machine
	d   *minersim.Device
	now time.Time
}

// when is the time a status carries: a rack machine that was never told the time counts its
// seconds, as recorded.
func (c *call) when() int64 {
	if c.home {
		return c.now.Unix()
	}
	return int64(c.m.Uptime() / time.Second)
}

func (c *call) reply(letter string, code int, message string) reply {
	return reply{letter: letter, when: c.when(), code: code, message: message}
}

func (c *call) fail(code int, message string) reply { return c.reply("E", code, message) }

// done and info are the two ways in which a setting succeeds.
func (c *call) done() reply { return c.reply("S", codeSet, "ASC 0 set OK") }

func (c *call) info(text string) reply { return c.reply("I", codeInfo, "ASC 0 set info: "+text) }

func (c *call) failed(why string) reply { return c.fail(codeSetFailed, "ASC 0 set failed: "+why) }

// list is a success with a section.
func (c *call) list(code int, message, section, name string, rows ...row) reply {
	r := c.reply("S", code, message)
	r.section, r.name, r.rows = section, name, rows
	return r
}

// run executes one command.
func (c *call) run(q request) reply {
	if read, ok := reads[q.command]; ok {
		return read(c)
	}
	switch q.command {
	case "ascset":
		c.contest(c.m)
		return c.ascset(q.parameter)
	case "check":
		return c.check(q.parameter)
	case "setpool":
		if c.home {
			return c.done()
		}
	case "restart":
		c.restart()
		return reply{restart: true}
	}
	return c.fail(codeInvalid, "Invalid command")
}

// restartDip is how long the software's restart keeps the boards without work (assumed).
const restartDip = 20 * time.Second

// restart ends the mining software, which comes back by itself. What was off stays off (assumed).
func (c *call) restart() {
	if c.power == on && c.offAt == 0 {
		c.m.Command(minersim.Order{Watts: c.watts(), Dip: restartDip, Ramp: c.startTime()})
	}
}

// joined answers several reads at once; each answer hangs under its command's name.
func (c *call) joined(names string) []byte {
	var b strings.Builder
	b.WriteByte('{')
	for name := range strings.SplitSeq(names, "+") {
		if read, ok := reads[name]; ok {
			r := read(c)
			b.WriteString(`"` + name + `":[` + r.object(false) + "],")
		}
	}
	b.WriteString(`"id":1}`)
	return []byte(b.String())
}

// check tells whether a command exists.
func (c *call) check(name string) reply {
	if name == "" {
		return c.fail(codeNoParameter, "Missing check cmd")
	}
	_, read := reads[name]
	yes := "N"
	if read || slices.Contains([]string{"ascset", "check", "restart"}, name) {
		yes = "Y"
	}
	return c.list(codeCheck, "Check command", "CHECK", "CHECK", row{plain: true, pairs: []pair{{"Exists", yes}, {"Access", yes}}})
}

// ascset is every setting there is: device, option, and what belongs to the option.
func (c *call) ascset(parameter string) reply {
	device, rest, _ := strings.Cut(parameter, ",")
	if strings.TrimSpace(device) == "" {
		return c.fail(codeNoDevice, "Missing device id parameter")
	}
	if n, err := strconv.Atoi(strings.TrimSpace(device)); err != nil || n != 0 {
		return c.fail(codeWrongDevice, fmt.Sprintf("Invalid ASC id %d - range is 0 - 0", n))
	}
	option, value, _ := strings.Cut(rest, ",")
	if option == "" {
		return c.fail(codeNoOption, "Missing option after ASC number")
	}
	option = strings.ToLower(option)
	if act, ok := c.settings()[option]; ok {
		return act(c, value)
	}
	if slices.Contains(c.options, option) {
		return c.done()
	}
	return c.failed("Unknown option: " + option)
}

// setting is what an option does with what is behind it.
type setting = func(*call, string) reply

// settings that do something.
func (c *call) settings() map[string]setting {
	common := map[string]setting{"help": help, "reboot": reboot, "softoff": softOffAt, "softon": softOnAt}
	own := map[string]setting{
		"led": led, "workmode": rackMode, "worklevel": rackLevel, "hashpower": hashPower, "bootby": bootBy, "setpool": setPool,
	}
	if c.home {
		own = map[string]setting{
			"workmode": homeMode, "worklevel": homeLevel, "work_mode_lvl": modeAndLevel, "voltage": voltage, "loop": loop,
		}
	}
	maps.Copy(common, own)
	return common
}

// help lists the options this machine knows.
func help(c *call, _ string) reply {
	names := slices.Clone(c.options)
	for name := range c.settings() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return c.info(strings.Join(names, "|") + "|")
}

// led takes a lamp and a state, or only a state; 255 asks.
func led(c *call, setting string) reply {
	state := setting[strings.LastIndexByte(setting, '-')+1:]
	switch state {
	case "255":
		return c.info(fmt.Sprintf("LED[%d]", number(c.led)))
	case "0", "1":
		c.led = state == "1"
		return c.done()
	}
	return c.failed("led unknown argument")
}

func reboot(c *call, setting string) reply {
	if setting == "" {
		return c.failed("missing reboot setting")
	}
	r := c.done()
	c.m.CommandReboot(false)
	return r
}

func bootBy(c *call, _ string) reply { return c.info("BOOTBY[" + bootedBy + "]") }

// setPool is answered and changes nothing: pools are not simulated.
func setPool(c *call, _ string) reply {
	return c.info("pool success set. Please reboot miner to make config work.")
}

func voltage(c *call, _ string) reply { return c.info(c.supply()) }

func loop(c *call, _ string) reply { return c.info(fmt.Sprintf("LOOP[%d ]", c.m.Model.ChipsPerBoard)) }

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
