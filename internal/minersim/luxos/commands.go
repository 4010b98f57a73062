package luxos

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// object is a JSON object.
type object = map[string]any

// firmware is what every reply says of itself.
const firmware = "LUXminer 2025.4.8.220305-57b389c7"

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m   *minersim.Machine
	d   *minersim.Device
	now time.Time
}

// Codes of failures. 14, 23 and 24 are those of the whole family, 402 is the vendor's; the others
// are assumed.
const (
	codeInvalidCommand  = 14
	codeInvalidArgument = 15
	codeInvalidSession  = 401
	codeBusy            = 402
	codeNotNow          = 403
)

func (c *call) status(letter string, code int, message string) []object {
	return []object{{
		"STATUS": letter, "When": c.now.Unix(), "Code": code, "Msg": message, "Description": firmware,
	}}
}

// ok is a success with one section of data.
func (c *call) ok(code int, message, section string, data any) object {
	reply := object{"STATUS": c.status("S", code, message), "id": 1}
	if section != "" {
		reply[section] = data
	}
	return reply
}

func (c *call) fail(code int, message string) object {
	return object{"STATUS": c.status("E", code, message), "id": 1}
}

// run executes one command. held tells that it changes the machine.
func (c *call) run(command, parameter string) (reply object, held bool) {
	if read, ok := reads[command]; ok {
		return read(c), false
	}
	switch command {
	case "logon":
		return c.doLogon(), false
	case "session":
		return c.ok(319, "Session information", "SESSION", []object{{"SessionID": c.liveSession()}}), false
	}
	write, ok := writes[command]
	if !ok {
		return c.fail(codeInvalidCommand, "Invalid command"), false
	}
	args := strings.Split(parameter, ",")
	for i := range args {
		args[i] = strings.TrimSpace(args[i])
	}
	if !c.use(c.m.Now(), args[0]) {
		return c.fail(codeInvalidSession, "Invalid session"), false
	}
	return write(c, args[1:]), true
}

// joined runs several reads in one request; each answer hangs under its command's name.
func (c *call) joined(command string) object {
	reply := object{"id": 1}
	for name := range strings.SplitSeq(command, "+") {
		read, ok := reads[name]
		if !ok {
			reply[name] = []object{c.fail(codeInvalidCommand, "Invalid command")}
			continue
		}
		reply[name] = []object{read(c)}
	}
	return reply
}

func (c *call) doLogon() object {
	if c.m.Busy() {
		return c.fail(codeBusy, "Another session is active")
	}
	id, ok := c.logon(c.m.Now(), c.d.Serial)
	if !ok {
		return c.fail(codeBusy, "Another session is active")
	}
	return c.ok(316, "Session created", "SESSION", []object{{"SessionID": id}})
}

func (c *call) liveSession() string {
	if c.live(c.m.Now()) {
		return c.session
	}
	return ""
}

// writes need a session; their arguments come after it.
var writes = map[string]func(*call, []string) object{
	"logoff": func(c *call, _ []string) object {
		c.session = ""
		return c.ok(317, "Session dropped", "", nil)
	},
	"curtail":    curtail,
	"profileset": profileset,
	"atmset":     atmset,
	"reboot":     rebootBoard,
	"rebootdevice": func(c *call, _ []string) object {
		reply := c.ok(328, "Rebooting device", "", nil)
		c.m.CommandReboot(false)
		return reply
	},
	"resetminer": func(c *call, _ []string) object {
		o := c.order()
		if !c.asleep {
			o.Dip, o.Ramp = resetDip, coldWakeRamp
		}
		c.m.Command(o)
		return c.ok(327, "Resetting miner", "", nil)
	},
}

func curtail(c *call, args []string) object {
	action := ""
	if len(args) > 0 {
		action = args[0]
	}
	switch action {
	case "sleep":
		c.sleep(c.m)
		return c.ok(335, "Curtailment command sent", "CURTAIL", []object{{"Action": "sleep mode"}})
	case "wakeup":
		for _, option := range args[1:] {
			if option == "mode=unsafe" && c.cold {
				return c.fail(codeNotNow, "Unsafe mode is not available for the first wakeup after a reboot")
			}
		}
		c.wake(c.m)
		return c.ok(335, "Curtailment command sent", "CURTAIL", []object{{"Action": "wake up"}})
	default:
		return c.fail(codeInvalidArgument, fmt.Sprintf("Invalid curtail action %q", action))
	}
}

// profileset takes a profile for the whole machine. A number from 0 to 3 in front of it is an old
// client's board and changes nothing, so that a profile can't be named by one digit.
func profileset(c *call, args []string) object {
	if len(args) > 0 {
		if n, err := strconv.Atoi(args[0]); err == nil && n >= 0 && n <= 3 && !strings.HasPrefix(args[0], "+") {
			args = args[1:]
		}
	}
	if len(args) == 0 || args[0] == "" {
		return c.fail(codeInvalidArgument, "Missing profile name")
	}
	if c.atm.enabled {
		return c.fail(codeNotNow, "Profile cannot be changed while ATM is enabled")
	}
	index, err := c.find(args[0])
	if err != nil {
		return c.fail(codeInvalidArgument, "Invalid profile: "+err.Error())
	}
	c.setProfile(c.m, index)
	return c.ok(321, "Profile Set", "PROFILE", []object{{
		"Board": 0, "FrequencyStep": 5, "Profile": c.profiles[index].name, "VoltageStep": 0.05,
	}})
}

// atmset takes key=value pairs in any order; one that is wrong changes nothing.
func atmset(c *call, args []string) object {
	next := c.atm
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		set, ok := atmKeys[key]
		if !ok {
			return c.fail(codeInvalidArgument, fmt.Sprintf("Unknown key %q", key))
		}
		if err := set(c, &next, value); err != nil {
			return c.fail(codeInvalidArgument, fmt.Sprintf("Invalid value for %q: %v", key, err))
		}
	}
	back := c.atm.enabled && !next.enabled && next.preventOverclock && c.current > -lowestStep
	next.preventOverclock = false
	c.atm = next
	if back {
		c.setProfile(c.m, -lowestStep)
	}
	return c.ok(340, "ATM configuration updated", "ATM", []object{c.atmValues()})
}

var atmKeys = map[string]func(*call, *atm, string) error{
	"enabled": func(_ *call, a *atm, v string) (err error) { a.enabled, err = strconv.ParseBool(v); return err },
	"prevent_oc": func(_ *call, a *atm, v string) (err error) {
		a.preventOverclock, err = strconv.ParseBool(v)
		return err
	},
	"startup_minutes":   func(_ *call, a *atm, v string) (err error) { a.startupMinutes, err = minutes(v); return err },
	"post_ramp_minutes": func(_ *call, a *atm, v string) (err error) { a.rampMinutes, err = minutes(v); return err },
	"temp_window":       func(_ *call, a *atm, v string) (err error) { a.window, err = degrees(v); return err },
	"min_profile":       func(c *call, a *atm, v string) (err error) { a.minProfile, err = c.bound(v); return err },
	"max_profile":       func(c *call, a *atm, v string) (err error) { a.maxProfile, err = c.bound(v); return err },
}

func minutes(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is negative", n)
	}
	return n, err
}

// degrees are a number that is one: JSON has no words for the others.
func degrees(value string) (float64, error) {
	n, err := strconv.ParseFloat(value, 64)
	if err == nil && (math.IsNaN(n) || math.IsInf(n, 0)) {
		err = fmt.Errorf("%g is no temperature", n)
	}
	return n, err
}

// bound checks a profile that limits ATM; empty means no bound.
func (c *call) bound(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	i, err := c.find(name)
	if err != nil {
		return "", err
	}
	return c.profiles[i].name, nil
}

// rebootBoard restarts one hashboard. It always fails asleep.
func rebootBoard(c *call, args []string) object {
	if c.asleep {
		return c.fail(codeNotNow, "Not available in sleep mode")
	}
	if len(args) == 0 {
		return c.fail(codeInvalidArgument, "Missing board id")
	}
	board, err := strconv.Atoi(args[0])
	if err != nil || board < 0 || board >= c.m.Model.Boards {
		return c.fail(codeInvalidArgument, fmt.Sprintf("Invalid board id %q", args[0]))
	}
	o := c.order()
	o.Dip, o.Ramp = boardDip, wakeRamp
	o.DipKeeps = 1 - 1/float64(c.m.Model.Boards)
	c.m.Command(o)
	return c.ok(305, "Reboot Scheduled", "REBOOT", []object{{"Board": board, "IsShutdown": false}})
}
