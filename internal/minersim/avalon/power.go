package avalon

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rackMode takes a mode, or 255 for asking; newer clients write "set" before it. It waits for the
// next reboot.
func rackMode(c *call, setting string) reply {
	setting = strings.TrimPrefix(setting, "set,")
	if setting == "255" || setting == "get" {
		return c.info(fmt.Sprintf("WORKMODE[%d]", c.mode))
	}
	mode, err := strconv.Atoi(setting)
	if err != nil || mode < 0 || mode >= len(c.modes) {
		return c.failed("workmode unknown argument")
	}
	c.choose(c.m, mode, 0)
	return c.info(fmt.Sprintf("WORKMODE[%d]", mode))
}

// rackLevel says yes to every level and changes nothing: a live A1466 was heard to say so to
// watts, and what it did is not known.
func rackLevel(c *call, setting string) reply {
	if strings.HasPrefix(setting, "get") {
		return c.info("worklevel 0")
	}
	return c.done()
}

// hashPower tells what the supply gives, or cuts the boards off.
func hashPower(c *call, setting string) reply {
	switch setting {
	case "":
		return c.info(c.supply())
	case "0":
		c.cutHashPower(c.m)
		return c.info("Power off hash now ...")
	}
	return c.failed("hashpower unknown argument")
}

// softOffAt takes "1:" and a second of the world's clock. Without either it means now; a Q wants
// both.
func softOffAt(c *call, setting string) reply {
	at, ok := c.scheduled(setting)
	if !ok {
		return c.failed("softoff parameter invalid")
	}
	c.switchOff(c.m, at)
	if c.home && setting != "" {
		return c.info("success softoff:" + setting)
	}
	return c.done()
}

// softOnAt is the other way round. A rack machine closes the connection without a word.
func softOnAt(c *call, setting string) reply {
	at, ok := c.scheduled(setting)
	if !ok {
		return c.failed("softon parameter invalid")
	}
	c.switchOn(c.m, at)
	if !c.home {
		return reply{silence: true}
	}
	return c.info("success softon:" + setting)
}

// scheduled reads when a switch is to take place.
func (c *call) scheduled(setting string) (at time.Duration, ok bool) {
	if setting == "" {
		return moment(c.m, c.now, 0), !c.summary
	}
	flag, second, found := strings.Cut(setting, ":")
	when, err := strconv.ParseInt(second, 10, 64)
	if !found || flag != "1" && flag != "0" || err != nil || when < 0 {
		return 0, false
	}
	return moment(c.m, c.now, when), true
}

// homeMode needs the word "set" before a mode; "get" asks.
func homeMode(c *call, setting string) reply {
	word, rest, _ := strings.Cut(setting, ",")
	if setting == "get" {
		return c.info(fmt.Sprintf("workmode %d", c.mode))
	}
	mode, ok := leading(rest)
	if word != "set" || !ok {
		return c.missingOr(setting, "workmode", "workmode unknown argument")
	}
	return c.tune(mode, c.level)
}

func homeLevel(c *call, setting string) reply {
	word, rest, _ := strings.Cut(setting, ",")
	if setting == "get" {
		return c.info(fmt.Sprintf("worklevel %d", c.level))
	}
	level, ok := leading(rest)
	if word != "set" || !ok || level < c.lowest || level > 0 {
		return c.missingOr(setting, "worklevel", "worklevel unknown argument")
	}
	return c.tune(c.mode, level)
}

func modeAndLevel(c *call, setting string) reply {
	if setting == "get" {
		return c.info(fmt.Sprintf("workmode %d worklevel %d", c.mode, c.level))
	}
	words := strings.Split(setting, ",")
	if len(words) != 3 || words[0] != "set" {
		return c.missingOr(setting, "work_mode_lvl", "error:2 parameter error")
	}
	mode, okMode := leading(words[1])
	level, okLevel := leading(words[2])
	if !okMode || !okLevel || level < c.lowest || level > 0 {
		return c.failed(fmt.Sprintf("worklevel unknown argument level range:%d ~ 0", c.lowest))
	}
	return c.tune(mode, level)
}

// tune chooses, unless the machine tunes what it was told before.
func (c *call) tune(mode, level int) reply {
	switch {
	case mode < 0 || mode >= len(c.modes):
		return c.failed(fmt.Sprintf("error:1 not support set workmode max_mode[%d]", len(c.modes)-1))
	case c.calibrating(c.m.Now()):
		return c.failed(fmt.Sprintf("current mode %d is caling Don't permit switch mode", c.running))
	}
	c.choose(c.m, mode, level)
	return c.done()
}

func (c *call) missingOr(setting, option, otherwise string) reply {
	if setting == "" {
		return c.failed("missing " + option + " setting")
	}
	return c.failed(otherwise)
}

// leading reads the number a text begins with, as C does: what follows it is not looked at.
func leading(text string) (int, bool) {
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && text[end] == '-') {
		end++
	}
	n, err := strconv.Atoi(text[:end])
	return n, err == nil
}
