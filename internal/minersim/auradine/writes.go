package auradine

import (
	"encoding/json"
	"fmt"
	"slices"
)

// write is a command.
type write struct {
	act func(*call) (object, error)
	// held replies are those of commands to the machine, which a persona may hold back.
	held bool
}

var writes = map[string]write{
	"mode":        {held: true, act: setMode},
	"restart":     {held: true, act: restart},
	"led":         {act: setLED},
	"updatepools": {act: setPools},
	"password":    {act: changePassword},
	"fan":         {act: taken(511, "Fan speed set")},
	"psu":         {act: taken(571, "PSU voltage set")},
	"frequency":   {act: taken(641, "Frequency set")},
	"network":     {act: taken(551, "Network set")},
	"register":    {act: taken(581, "Registered")},
	"timedate":    {act: taken(611, "Time set")},
	"factory-reset": {held: true, act: func(c *call) (object, error) {
		c.settings, c.sleeping = c.factory(), false
		reply := c.ok(505, "Factory reset", "", nil)
		c.m.CommandReboot(false)
		return reply, nil
	}},
}

// taken is a command that is dropped.
func taken(code int, message string) func(*call) (object, error) {
	return func(c *call) (object, error) { return c.ok(code, message, "", nil), nil }
}

// parse reads the body; nothing is an empty object.
func (c *call) parse(v any) error {
	if len(c.body) == 0 {
		return nil
	}
	if json.Unmarshal(c.body, v) != nil {
		return invalid("Invalid JSON")
	}
	return nil
}

// modeInput is what a client may write; what is left out stays.
type modeInput struct {
	Mode, Sleep, Tune *string
	Ths               *float64
	Power             *float64
	PersistStandby    *string
	FansInStandby     *string
}

// setMode changes nothing where anything is wrong. The reply is the mode that is set now.
func setMode(c *call) (object, error) {
	var in modeInput
	if err := c.parse(&in); err != nil {
		return nil, err
	}
	next := c.settings
	if err := in.into(&next); err != nil {
		return nil, err
	}
	if !c.fits(next) {
		return nil, invalid("Target is out of range")
	}
	sleeping, err := in.sleep(c.sleeping)
	if err != nil {
		return nil, err
	}
	c.contest(c.m)
	c.become(c.m, next, sleeping)
	return mode(c), nil
}

// sleep tells whether the machine is to sleep, where it does so now.
func (in modeInput) sleep(now bool) (bool, error) {
	switch {
	case in.Sleep == nil:
		return now, nil
	case *in.Sleep != "on" && *in.Sleep != "off":
		return now, invalid("Invalid sleep")
	default:
		return *in.Sleep == "on", nil
	}
}

// into changes settings, but does not check targets.
func (in modeInput) into(s *settings) error {
	for _, field := range []struct {
		name    string
		sent    *string
		into    func(string)
		allowed []string
	}{
		{"mode", in.Mode, func(v string) { s.mode = v }, []string{normal, eco, turbo, custom}},
		{"tune", in.Tune, func(v string) { s.tune = v }, []string{byPower, byHash}},
		{"persistStandby", in.PersistStandby, func(v string) { s.persist = v == "on" }, []string{"on", "off"}},
		{"fansInStandby", in.FansInStandby, func(v string) { s.fans = v == "on" }, []string{"on", "off"}},
	} {
		if field.sent == nil {
			continue
		}
		if !slices.Contains(field.allowed, *field.sent) {
			return invalid(fmt.Sprintf("Invalid %s", field.name))
		}
		field.into(*field.sent)
	}
	if in.Power != nil {
		s.power = int(min(max(*in.Power, 0), maxWritten))
	}
	if in.Ths != nil {
		s.terahashes = min(max(*in.Ths, 0), maxWritten)
	}
	return nil
}

// maxWritten is the most that a client of the vendor's lets one write.
const maxWritten = 10_000

// restart reboots, unless it names a part to restart.
func restart(c *call) (object, error) {
	var q struct{ Parameter string }
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	reply := c.ok(500, "Restart", "", nil)
	switch q.Parameter {
	case "":
		c.m.CommandReboot(false)
	case "gcminer":
		c.restart(c.m)
	case "api-server":
	default:
		return nil, invalid("Invalid parameter")
	}
	return reply, nil
}

func setLED(c *call) (object, error) {
	q := struct{ Code int }{ledNormal}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	c.led = q.Code
	return led(c), nil
}

type poolConfig struct {
	URL  string `json:"url"`
	User string `json:"user"`
}

// maxPools is what other clients send at most.
const maxPools = 3

func setPools(c *call) (object, error) {
	var q struct{ Pools []poolConfig }
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if len(q.Pools) == 0 || len(q.Pools) > maxPools {
		return nil, invalid("Invalid pools")
	}
	c.settings.pools = q.Pools
	return c.ok(520, "Pools updated", "UPDATEPOOLS", []object{{"msg": "Pools updated"}}), nil
}
