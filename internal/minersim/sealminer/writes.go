package sealminer

import (
	"encoding/json"
	"strconv"
	"strings"
)

// writes are the RPC's commands; they want no password.
var writes = map[string]func(*call, string) object{
	"ascset":      ascSet,
	"updatepools": updatePools,
	// The family's reply to a restart is a bare word.
	"restart": func(c *call, _ string) object {
		c.restart(c.m)
		return object{"STATUS": "RESTART"}
	},
	"reboot": func(c *call, _ string) object {
		reply := c.status("S", codeReboot, "Reboot")
		c.m.CommandReboot(false)
		return reply
	},
}

// ascSet takes a device, which is 0, an option, and what that wants, as JSON.
func ascSet(c *call, parameter string) object {
	device, rest, _ := strings.Cut(parameter, ",")
	option, value, _ := strings.Cut(rest, ",")
	failed := c.status("E", codeNotSet, "ASC 0 set failed: "+strconv.Quote(option))
	if strings.TrimSpace(device) != "0" {
		return failed
	}
	switch strings.TrimSpace(option) {
	case "suspend":
		c.suspend(c.m)
	case "powerlimit":
		if !c.setLimit(value) {
			return failed
		}
	case "workmode":
		if !c.setWorkMode(value) {
			return failed
		}
	case "network":
	default:
		return failed
	}
	return c.status("S", codeSet, "ASC 0 set OK")
}

// setLimit takes watts as a number or as text.
func (c *call) setLimit(value string) bool {
	var q struct {
		Value any `json:"value"`
	}
	if json.Unmarshal([]byte(value), &q) != nil {
		return false
	}
	watts, ok := whole(q.Value)
	if !ok || !c.limitFits(watts) {
		return false
	}
	c.settings.limit = watts
	c.adjust(c.m)
	return true
}

// setWorkMode takes the name of a mode.
func (c *call) setWorkMode(value string) bool {
	var q struct{ Mode string }
	if json.Unmarshal([]byte(value), &q) != nil {
		return false
	}
	mode, known := workModes[q.Mode]
	if known {
		c.settings.mode = mode
		c.adjust(c.m)
	}
	return known
}

// whole reads a number that may come as one or as text.
func whole(v any) (int, bool) {
	switch n := v.(type) {
	case string:
		i, err := strconv.Atoi(n)
		return i, err == nil
	case float64:
		return int(n), n == float64(int(n))
	default:
		return 0, false
	}
}

// maxPools is what the firmware's own page has room for.
const maxPools = 3

func updatePools(c *call, parameter string) object {
	var q struct{ Pools []pool }
	if json.Unmarshal([]byte(parameter), &q) != nil || len(q.Pools) == 0 || len(q.Pools) > maxPools {
		return c.status("E", codeNotSet, "Invalid pools")
	}
	c.settings.pools = q.Pools
	return c.status("S", codePools, "Pools updated")
}
