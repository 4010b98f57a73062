package epic

import (
	"encoding/json"
	"math"
)

// command is one that wants the password.
type command struct {
	act func(*call) error
	// held replies are those of commands to the machine, which a persona may hold back.
	held bool
}

var commands = table()

func table() map[string]command {
	all := map[string]command{
		"authenticate":                {act: nothing},
		"miner":                       {held: true, act: runMiner},
		"softreboot":                  {held: true, act: func(c *call) error { c.softReboot(c.m); return nil }},
		"reboot":                      {held: true, act: reboot},
		"perpetualtune":               {held: true, act: setTuning},
		"perpetualtune/algo":          {held: true, act: setAlgorithm},
		"perpetualtune/reset":         {held: true, act: resetAlgorithm},
		"perpetualtune/errorthrottle": {act: func(c *call) error { return c.read(&c.tuning.errors) }},
		"tune":                        {held: true, act: tuneByHand},
		"tune/withpowerlimit":         {held: true, act: tuneByHand},
		"tune/clock/all":              {held: true, act: tuneClock},
		"tune/voltage":                {held: true, act: tuneVoltage},
		"boardenable":                 {held: true, act: enableBoards},
		"defaultconfig":               {held: true, act: func(c *call) error { c.factory(); c.adjust(c.m); return nil }},
		"identify":                    {act: func(c *call) error { return c.read(&c.settings.locating) }},
		"fanspeed":                    {act: setFans},
		"fans/minimum":                {act: func(c *call) error { return c.read(&c.settings.leastFans) }},
		"shutdowntemp":                {act: func(c *call) error { return c.read(&c.settings.shutdownC) }},
		"criticaltemp":                {act: func(c *call) error { return c.read(&c.settings.criticalC) }},
		"coin":                        {act: setCoin},
		"password":                    {act: func(c *call) error { return c.read(&c.password) }},
		"hostname":                    {act: func(c *call) error { return c.read(&c.settings.hostname) }},
		"idleonconnectionlost":        {act: func(c *call) error { return c.read(&c.settings.idleOnLoss) }},
		"disableboardonfailure":       {act: func(c *call) error { return c.read(&c.settings.dropBoards) }},
		"enableboardsonidle":          {act: func(c *call) error { return c.read(&c.settings.healBoards) }},
		"overdrive":                   {act: func(c *call) error { return c.read(&c.settings.overdrive) }},
		"preinitcooldownmaxduration":  {act: func(c *call) error { return c.read(&c.settings.cooldownSeconds) }},
	}
	for _, name := range []string{
		"clearhashrate", "hashratesplit", "hashratesplit/enable", "id", "id/variant", "timezone", "network",
		"scheduler", "scheduler/idleperiods", "tune/recover/all",
	} {
		all[name] = command{act: nothing}
	}
	return all
}

// nothing is what a command does that is taken and dropped.
func nothing(*call) error { return nil }

// settings are kept and shown; there is no heat and no pool here that could make them matter.
type settings struct {
	locating, idleOnLoss, dropBoards, healBoards, overdrive bool
	fans                                                    fanMode
	leastFans, cooldownSeconds                              int
	shutdownC, criticalC                                    float64
	hostname                                                string
	pools                                                   []pool
}

func defaultSettings() settings {
	return settings{
		idleOnLoss: true, dropBoards: true, cooldownSeconds: 300, shutdownC: 85, criticalC: 100,
		fans:  fanMode{Auto: &fanTarget{Idle: 20, Target: 60}},
		pools: []pool{{Login: "site.worker", Password: "x", Pool: "stratum+tcp://pool.example:3333"}},
	}
}

type fanTarget struct {
	Idle   int `json:"Idle Speed"`
	Target int `json:"Target Temperature"`
}

type fanMode struct {
	Auto   *fanTarget `json:"Auto,omitempty"`
	Manual *int       `json:"Manual,omitempty"`
}

type pool struct {
	Login    string `json:"login"`
	Password string `json:"password"`
	Pool     string `json:"pool"`
}

func setFans(c *call) error {
	var f fanMode
	if err := c.read(&f); err != nil {
		return err
	}
	if (f.Auto == nil) == (f.Manual == nil) {
		return unknown()
	}
	if f.Manual != nil {
		*f.Manual = min(max(*f.Manual, 1), 100)
	}
	c.settings.fans = f
	return nil
}

// maxPools is the vendor's.
const maxPools = 3

func setCoin(c *call) error {
	var q struct {
		Coin  string `json:"coin"`
		Pools []pool `json:"stratum_configs"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if q.Coin == "" || len(q.Pools) == 0 || len(q.Pools) > maxPools {
		return no("InvalidPoolConfig")
	}
	c.settings.pools = q.Pools
	return nil
}

func runMiner(c *call) error {
	var to string
	if err := c.read(&to); err != nil {
		return err
	}
	switch to {
	case "Stop":
		c.stop(c.m)
	case "Autostart":
		if p := c.pending(c.m.Now(), false); p != "" {
			return no(object{"LastCmdStillPending": p})
		}
		c.start(c.m)
	default:
		return unknown()
	}
	return nil
}

// reboot takes seconds to wait, and does not wait them. Clients in the field send text, or nothing
// at all.
func reboot(c *call) error {
	var delay number
	if len(c.param) > 0 && string(c.param) != "null" {
		if err := json.Unmarshal(c.param, &delay); err != nil || delay < 0 || float64(delay) != math.Trunc(float64(delay)) {
			return unknown()
		}
	}
	c.m.CommandReboot(false)
	return nil
}

// enableBoards changes nothing where anything is wrong.
func enableBoards(c *call) error {
	var q []struct {
		Enabled bool `json:"Data"`
		Index   int  `json:"Index"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	next := append([]bool(nil), c.disabled...)
	for _, b := range q {
		if b.Index < 0 || b.Index >= len(next) {
			return no("InvalidBoardId")
		}
		next[b.Index] = !b.Enabled
	}
	before := c.disabled
	if c.disabled = next; c.share() == 0 {
		c.disabled = before
		return no("NoActiveHashboards")
	}
	c.adjust(c.m)
	return nil
}
