package antminer

import (
	"encoding/json"
	"net/http"
	"strings"
)

// look finds the page that a path names.
func (c *call) look(method, path string) any {
	if path == "/" {
		return text("<html><head><title>Ant Miner</title></head></html>\n")
	}
	name, ok := strings.CutPrefix(path, "/cgi-bin/")
	name, cgi := strings.CutSuffix(name, ".cgi")
	if !ok || !cgi {
		return status(http.StatusNotFound)
	}
	if write, ok := c.writes()[name]; ok && (method == http.MethodPost || name == "reboot" || name == "reset_conf") {
		c.held = true
		return write(c)
	}
	if read, ok := c.reads()[name]; ok {
		return read(c)
	}
	return status(http.StatusNotFound)
}

// reads of each generation.
func (c *call) reads() map[string]func(*call) any {
	if c.form {
		return formReads
	}
	return jsonReads
}

func (c *call) writes() map[string]func(*call) any {
	if c.form {
		return formWrites
	}
	return jsonWrites
}

var formReads = map[string]func(*call) any{
	"get_system_info":  func(c *call) any { return padded{c.systemInfo()} },
	"get_network_info": func(c *call) any { return padded{c.networkInfo()} },
	"get_miner_conf":   minerConf,
	"get_kernel_log":   kernelLog,
}

var jsonReads = map[string]func(*call) any{
	"get_system_info":  func(c *call) any { return c.systemInfo() },
	"get_network_info": func(c *call) any { return c.networkInfo() },
	"get_miner_conf":   minerConf,
	"get_kernel_log":   kernelLog,
	"log":              kernelLog,
	"hlog":             kernelLog,
	"miner_type": func(c *call) any {
		return object{"miner_type": c.kind(), "subtype": "AMLCtrl_" + c.m.Model.Chip, "fw_version": c.compiled}
	},
	"get_blink_status": func(c *call) any { return object{"blink": c.blinking} },
	"summary":          func(c *call) any { return c.fresh(c.webSummary) },
	"stats":            func(c *call) any { return c.fresh(c.webStats) },
	"pools":            func(c *call) any { return c.fresh(c.webPools) },
}

// fresh are pages that ask the mining software: they fail while it restarts (the status is assumed).
func (c *call) fresh(read func() object) any {
	if !c.answers(c.m.Now()) {
		return status(http.StatusInternalServerError)
	}
	return read()
}

var formWrites = map[string]func(*call) any{
	"set_miner_conf": setForm, "reboot": reboot, "reset_conf": factoryReset,
	"blink": func(c *call) any {
		switch c.field("action") {
		case "startBlink":
			c.blinking = true
		case "stopBlink":
			c.blinking = false
		}
		c.held = false
		return object{"isBlinking": c.blinking}
	},
}

var jsonWrites = map[string]func(*call) any{
	"set_miner_conf": setConf, "reboot": reboot, "reset_conf": factoryReset, "passwd": passwd, "blink": blink,
	"set_network_conf": func(c *call) any {
		c.held = false
		return c.say("success", "N000", "OK!")
	},
}

// say is the form of every reply to a write.
func (*call) say(stats, code, message string) object {
	return object{"stats": stats, "code": code, "msg": message}
}

// reboot answers and is gone. What it answers is assumed; clients look at the status only.
func reboot(c *call) any {
	c.m.CommandReboot(false)
	return c.say("success", "R000", "OK!")
}

// factoryReset forgets what was set, the password too.
func factoryReset(c *call) any {
	was := c.settings.mode
	c.settings = c.factory
	c.slow = true
	c.restart(c.m, was)
	return c.say("success", "C000", "OK!")
}

func passwd(c *call) any {
	var q struct{ CurPwd, NewPwd, ConfirmPwd string }
	c.held = false
	switch err := json.Unmarshal(c.body, &q); {
	case err != nil || q.CurPwd != c.settings.account.Password:
		return c.say("error", "P001", "Current password invalid!")
	case q.NewPwd == "" || q.NewPwd != q.ConfirmPwd:
		return c.say("error", "P002", "New password not match!")
	}
	c.settings.account.Password = q.NewPwd
	return c.say("success", "P000", "OK!")
}

// blink takes true and "true"; each way has a code of its own.
func blink(c *call) any {
	var q struct{ Blink any }
	c.held = false
	if json.Unmarshal(c.body, &q) != nil {
		q.Blink = c.field("blink")
	}
	c.blinking = q.Blink == true || q.Blink == "true"
	if c.blinking {
		return object{"code": "B000"}
	}
	return object{"code": "B100"}
}

func kernelLog(c *call) any {
	return text("[    0.000000] Booting Linux on physical CPU 0x0\n[    1.000000] Machine model: " + c.kind() + "\n")
}
