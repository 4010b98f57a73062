package marafw

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// base is where the paths are.
const base = "/kaonsu/v1/"

var reads = map[string]func(*call) any{
	"brief": brief, "overview": overview, "hashboards": hashboards, "details": details, "fans": fans, "pools": pools,
	"network_config": networkConfig, "miner_config": func(c *call) any { return c.document() },
	"locate_miner":      func(c *call) any { return object{"blinking": c.blinking} },
	"event_chart":       func(*call) any { return object{"event_flags": []object{}} },
	"ping":              func(*call) any { return success() },
	"connections":       func(*call) any { return object{"connections": []object{}} },
	"controlboard_info": func(c *call) any { return object{"control_board": controlBoard, "mac": c.d.MAC} },
}

var writes = map[string]func(*call) any{
	"miner_config": setConfig, "maintenance": maintenance, "locate_miner": locate,
	"network_config": func(*call) any { return success() },
}

// look finds what a request asks for.
func (c *call) look(r *http.Request) (any, error) {
	name, ok := strings.CutPrefix(r.URL.Path, base)
	if !ok {
		return nil, errUnknown
	}
	if r.Method == http.MethodPost {
		if write, ok := writes[name]; ok {
			return write(c), nil
		}
		return nil, errUnknown
	}
	if name == "log" {
		return c.log(r.URL.Query().Get("type")), nil
	}
	if read, ok := reads[name]; ok {
		return read(c), nil
	}
	return nil, errUnknown
}

// document is all that is set.
func (c *call) document() object {
	all := object{"mode": c.mode}
	for key, value := range c.others {
		all[key] = value
	}
	return all
}

// setConfig takes a document: all of it or, where anything in it is wrong, nothing. What is left out
// stays.
func setConfig(c *call) any {
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(c.body, &sent); err != nil || sent == nil {
		return failure("invalid config")
	}
	next := c.mode
	if raw, ok := sent["mode"]; ok {
		if err := json.Unmarshal(raw, &next); err != nil {
			return failure("invalid mode")
		}
	}
	if wrong := next.check(c.model); wrong != "" {
		return failure(wrong)
	}
	c.held = true
	c.contest()
	for key := range c.others {
		if raw, ok := sent[key]; ok {
			c.others[key] = raw
		}
	}
	if next != c.mode {
		c.note(c.now, c.mode, next)
		c.set(c.m, next)
	}
	return success()
}

// contest lets another master, where there is one, set back the mode that it finds now; the log tells of that, too.
func (c *call) contest() {
	was := c.mode
	c.m.Contest(func() {
		if c.mode != was {
			c.note(c.d.Clock().Now(), c.mode, was)
			c.set(c.m, was)
		}
	})
}

// log is the history of the settings, the oldest first: a list of objects whose key is an instant.
func (c *call) log(kind string) any {
	if kind != "miner_config_history" {
		return []object{}
	}
	list := make([]object, len(c.history))
	for i, w := range c.history {
		list[i] = object{w.at.UTC().Format(time.RFC3339): w.changes}
	}
	return list
}

func maintenance(c *call) any {
	var q struct {
		Type   string
		Params struct{ CurPwd, ConfirmPwd, NewPwd string }
	}
	if err := json.Unmarshal(c.body, &q); err != nil {
		return failure("invalid request")
	}
	c.held = true
	switch q.Type {
	case "reboot":
		c.m.CommandReboot(false)
	case "reload":
		c.reload(c.m)
	case "reset":
		c.factoryReset()
	case "passwd":
		c.held = false
		if q.Params.CurPwd != c.account.Password || q.Params.NewPwd == "" {
			return failure("wrong password")
		}
		c.account.Password = q.Params.NewPwd
	default:
		c.held = false
		return failure("unknown type")
	}
	return success()
}

// factoryReset forgets what was set and mines.
func (c *call) factoryReset() {
	was := c.mode
	c.state.reset()
	next := c.mode
	c.mode = was
	c.set(c.m, next)
}

func locate(c *call) any {
	var q struct{ Blinking *bool }
	if err := json.Unmarshal(c.body, &q); err != nil || q.Blinking == nil {
		return failure("invalid request")
	}
	c.blinking = *q.Blinking
	return object{"blinking": c.blinking}
}
