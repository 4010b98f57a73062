package antminer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// minerConf is what is set. The mode has another name here than in a write.
func minerConf(c *call) any {
	s := c.settings
	conf := object{
		"pools": s.pools, "api-listen": true, "api-network": true,
		"api-groups": "A:stats:pools:devs:summary:version", "api-allow": "A:0/0,W:*",
		"bitmain-use-vil": true, "bitmain-freq": strconv.Itoa(c.clock), "bitmain-voltage": "1400",
	}
	if !c.restless {
		conf["bitmain-work-mode"] = strconv.Itoa(c.number(s.mode))
	}
	if !c.form {
		conf["bitmain-fan-ctrl"], conf["bitmain-fan-pwm"] = s.fanManual, s.fanPWM
		conf["bitmain-ccdelay"], conf["bitmain-pwth"], conf["bitmain-freq-level"] = "0", "0", s.freqLevel
	}
	if c.either {
		return conf
	}
	return padded{conf}
}

// setConf takes JSON: all of it or, where anything in it is wrong, nothing. That it says OK does not
// tell that the mode was among what it looked for.
func setConf(c *call) any {
	if c.lock && c.m.Busy() {
		c.held = false
		return c.say("error", "M001", "request busy")
	}
	c.contest()
	next, wrong := c.written()
	if wrong != "" {
		c.held = false
		return c.say("error", "M001", wrong)
	}
	was := c.settings.mode
	c.settings, c.slow = next, true
	c.restart(c.m, was)
	return c.say("success", "M000", "OK!")
}

// contest lets another master, where there is one and no lock, set back what it finds now.
func (c *call) contest() {
	settings, st := c.settings, c.state
	c.m.Contest(func() {
		if was := st.settings; was.mode != settings.mode {
			st.settings = settings
			st.restart(c.m, was.mode)
		}
	})
}

// written reads the settings that the body asks for, or tells what is wrong with it.
func (c *call) written() (next settings, wrong string) {
	var q struct {
		MinerMode json.RawMessage `json:"miner-mode"`
		WorkMode  json.RawMessage `json:"bitmain-work-mode"`
		FanManual *bool           `json:"bitmain-fan-ctrl"`
		FanPWM    json.RawMessage `json:"bitmain-fan-pwm"`
		FreqLevel json.RawMessage `json:"freq-level"`
		Pools     []pool          `json:"pools"`
	}
	next = c.settings
	if err := json.Unmarshal(c.body, &q); err != nil {
		return next, "Invalid configuration"
	}
	if q.MinerMode == nil && c.either {
		q.MinerMode = q.WorkMode
	}
	if q.MinerMode != nil {
		mode, ok := c.modeOf(plain(q.MinerMode))
		if !ok {
			return next, "Invalid work mode!"
		}
		next.mode = mode
	}
	if !c.either {
		// Older pages know what they were sent and nothing else.
		next.pools = [maxPools]pool{}
	}
	copy(next.pools[:], q.Pools)
	if q.FanManual != nil {
		next.fanManual = *q.FanManual
	}
	next.fanPWM = cmp.Or(plain(q.FanPWM), next.fanPWM)
	next.freqLevel = cmp.Or(plain(q.FreqLevel), next.freqLevel)
	return next, ""
}

// plain is a number as text, however it was sent.
func plain(sent json.RawMessage) string { return string(bytes.Trim(sent, `"`)) }

func (c *call) modeOf(written string) (int, bool) {
	n, err := strconv.Atoi(written)
	if err != nil {
		return 0, false
	}
	return c.known(n)
}

// field is one of a form, empty where there is none.
func (c *call) field(name string) string {
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return ""
	}
	return form.Get(name)
}

// How long the script of a form waits for another's, then for its disk, and after the restart of the mining software
// before it answers: the vendor's own.
const (
	formPatience, formSync = 30 * time.Second, 2 * time.Second
	formReply              = 32 * time.Second
)

// formFields are what the script takes a form for: it counts them, whatever they are called.
var formFields = func() (names []string) {
	for i := range maxPools {
		for _, part := range []string{"url", "user", "pw"} {
			names = append(names, fmt.Sprintf("_ant_pool%d%s", i+1, part))
		}
	}
	return append(names, "_ant_nobeeper", "_ant_notempoverctrl", "_ant_fan_customize_switch", "_ant_fan_customize_value", "_ant_freq", "_ant_voltage", "_ant_work_mode")
}()

// escapes are those that the script undoes, one after the other.
const escapes = "#$%&,+:;<=>?@[]^{|}/"

// counted reads a form as the script does.
func counted(body string) map[string]string {
	values := map[string]string{}
	for i, field := range strings.Fields(strings.ReplaceAll(body, "&", " ")) {
		if i >= len(formFields) {
			break
		}
		field = strings.ReplaceAll(field, "+", " ")
		for _, r := range escapes {
			field = strings.ReplaceAll(field, fmt.Sprintf("%%%02X", r), string(r))
		}
		values[formFields[i]] = strings.Replace(field, formFields[i]+"=", "", 1)
	}
	return values
}

// setForm takes a form. An unknown mode is passed over (assumed).
func setForm(c *call) any {
	if c.lock && c.m.Busy() {
		// The script waits for the other to be done, then answers nothing and has changed nothing.
		c.queue = min(c.m.BusyFor(), formPatience) + formSync
		return text("")
	}
	was := c.settings.mode
	c.contest()
	values := counted(string(c.body))
	if mode, ok := c.modeOf(values["_ant_work_mode"]); ok {
		c.settings.mode = mode
	}
	for i := range c.settings.pools {
		prefix := fmt.Sprintf("_ant_pool%d", i+1)
		c.settings.pools[i] = pool{values[prefix+"url"], values[prefix+"user"], values[prefix+"pw"]}
	}
	c.restart(c.m, was)
	if c.lock {
		c.queue = formReply
	}
	return text("ok\n")
}
