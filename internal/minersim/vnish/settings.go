package vnish

import (
	"fmt"
	"net/http"
	"slices"
)

// settings are what a client may write and the simulation knows; everything else that a client
// sends is taken and dropped.
type settings struct {
	preset        int // index
	moddedPSU     bool
	freq, volt    int // by hand: MHz, and 10 mV as in the schema's 1380 for 13.80 V
	remainStopped bool
	switcher      switcher
}

// switcher is kept and shown only: there is no heat here that could move it.
type switcher struct {
	Enabled   bool    `json:"enabled"`
	TopPreset *string `json:"top_preset"`
	MinPreset *string `json:"min_preset"`
}

const (
	minClock, maxClock = 50, 1000 // MHz
	minVolt, maxVolt   = 1200, 1535
	defaultVolt        = 1380
)

func defaultSettings(clock int) settings {
	return settings{preset: defaultPreset, freq: clock, volt: defaultVolt}
}

// input is the part of a settings document that has an effect. What is left out stays.
type input struct {
	Miner struct {
		Overclock struct {
			ModdedPSU *bool   `json:"modded_psu"`
			Preset    *string `json:"preset"`
			Globals   struct {
				Freq *int `json:"freq"`
				Volt *int `json:"volt"`
			} `json:"globals"`
			Switcher *switcher `json:"preset_switcher"`
		} `json:"overclock"`
		Misc struct {
			RemainStopped *bool `json:"remain_stopped_on_reboot"`
		} `json:"misc"`
	} `json:"miner"`
	Password any `json:"password"`
}

// writeSettings changes nothing where anything is wrong. The reply is the same for a preset that
// works at once and for one that never will.
func writeSettings(c *call) (any, error) {
	var in input
	in.Miner.Overclock.Switcher = &switcher{}
	*in.Miner.Overclock.Switcher = c.settings.switcher
	if err := c.parse(&in); err != nil {
		return nil, err
	}
	next, o := c.settings, in.Miner.Overclock
	keep(&next.moddedPSU, o.ModdedPSU)
	keep(&next.freq, o.Globals.Freq)
	keep(&next.volt, o.Globals.Volt)
	keep(&next.switcher, o.Switcher)
	keep(&next.remainStopped, in.Miner.Misc.RemainStopped)
	if o.Preset != nil {
		next.preset = c.find(*o.Preset)
	}
	if err := c.check(next); err != nil {
		return nil, err
	}
	if in.Password != nil {
		return nil, broken("changing the password is not simulated")
	}
	changed := next.freq != c.settings.freq
	c.settings = next
	c.choose(c.m, next.preset, changed)
	return object{"restart_required": c.restartRequired, "reboot_required": false}, nil
}

func keep[T any](into, sent *T) {
	if sent != nil {
		*into = *sent
	}
}

func (st *state) find(name string) int {
	return slices.IndexFunc(st.presets, func(p preset) bool { return p.name == name })
}

// check refuses what no machine could be set to (assumed, as is its status).
func (st *state) check(s settings) error {
	switch {
	case s.preset < 0:
		return broken("unknown preset")
	case s.freq < minClock || s.freq > maxClock:
		return broken(fmt.Sprintf("freq must be within %d and %d", minClock, maxClock))
	case s.volt < minVolt || s.volt > maxVolt:
		return broken(fmt.Sprintf("volt must be within %d and %d", minVolt, maxVolt))
	}
	for _, name := range []*string{s.switcher.TopPreset, s.switcher.MinPreset} {
		if name != nil && st.find(*name) < 0 {
			return broken("unknown preset in preset_switcher")
		}
	}
	return nil
}

// readSettings is the whole document; what can't be written is constant.
func readSettings(c *call) (any, error) {
	s := c.settings
	chains := make([]object, c.m.Model.Boards)
	for i := range chains {
		chains[i] = object{"freq": 0, "chips": []int{}, "disabled": false}
	}
	misc := object{
		"asic_boost": true, "restart_hashrate": 90, "restart_temp": 90, "max_restart_attempts": 3,
		"quick_start": false, "quiet_mode": false, "downscale_preset_on_failure": true,
		"auto_chip_throttling": false, "max_startup_delay_time": 0, "min_operational_chains": 0,
		"remain_stopped_on_reboot": s.remainStopped,
	}
	if c.newer {
		misc["power_limit"], misc["power_limit_enabled"] = c.presets[len(c.presets)-1].watts, false
	}
	return object{
		"miner": object{
			"overclock": object{
				"modded_psu": s.moddedPSU, "preset": c.presets[s.preset].name,
				"globals": object{"freq": s.freq, "volt": s.volt}, "chains": chains,
				"preset_switcher": c.switcherObject(),
			},
			"cooling": object{"mode": object{"name": "auto", "param": 75}, "fan_min_count": 4, "fan_min_duty": 10, "fan_max_duty": 100},
			"misc":    misc,
			"pools":   []object{{"url": "pool.example:3333", "user": "site.worker", "pass": "x"}},
		},
		"network": object{
			"dhcp": true, "hostname": hostname, "ipaddress": c.d.Address.Addr().String(), "netmask": "255.0.0.0",
			"gateway": "127.0.0.1", "dnsservers": []string{"127.0.0.1"},
		},
		"regional": object{"timezone": object{"current": "GMT"}},
		"ui":       object{"theme": "light", "dark_side_pane": false, "disable_animation": false, "locale": "en"},
	}, nil
}

func (c *call) switcherObject() object {
	s := c.settings.switcher
	return object{
		"enabled": s.Enabled, "top_preset": s.TopPreset, "min_preset": s.MinPreset, "decrease_temp": 75,
		"rise_temp": 55, "check_time": 300, "autochange_top_preset": false, "ignore_fan_speed": false, "power_delta": 0,
	}
}

// broken is how the vendor answers what failed: 500 and a description.
func broken(why string) error {
	return refusal{http.StatusInternalServerError, object{"err": why}}
}
