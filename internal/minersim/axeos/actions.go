package axeos

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"strings"
)

// field is a setting that may be written: a number between two bounds, or a text of so many
// letters.
type field struct {
	text     bool
	min, max float64
}

// fields as the firmware's table has them; what is not in it is overlooked.
var fields = map[string]field{
	"frequency": {min: 1, max: math.MaxUint16}, "coreVoltage": {min: 1, max: math.MaxUint16},
	"overclockEnabled": {max: 1}, "overheat_mode": {}, "autofanspeed": {max: 1}, "manualFanSpeed": {max: 100},
	"minFanSpeed": {max: 99}, "temptarget": {min: 35, max: 66}, "rotation": {max: 270}, "invertscreen": {max: 1},
	"displayTimeout": {min: -1, max: 71582}, "statsFrequency": {max: math.MaxUint16},
	"hostname": {text: true, min: 1, max: 32}, "ssid": {text: true, min: 1, max: 32}, "wifiPass": {text: true, max: 63},
	"stratumURL": {text: true, max: 253}, "stratumUser": {text: true, max: 253}, "stratumPassword": {text: true, max: 253},
	"stratumPort": {min: 1, max: math.MaxUint16}, "fallbackStratumURL": {text: true, max: 253},
	"fallbackStratumUser": {text: true, max: 253}, "fallbackStratumPassword": {text: true, max: 253},
	"fallbackStratumPort": {min: 1, max: math.MaxUint16},
}

// secret settings are taken and never shown.
var secret = map[string]bool{"wifiPass": true, "stratumPassword": true, "fallbackStratumPassword": true}

// value checks what a client wrote; a flag may be true or false too.
func (f field) value(raw any) (any, bool) {
	switch v := raw.(type) {
	case string:
		return v, f.text && float64(len(v)) >= f.min && float64(len(v)) <= f.max
	case float64:
		return v, !f.text && v >= f.min && v <= f.max
	case bool:
		return f.flag(v)
	default:
		return nil, false
	}
}

func (f field) flag(on bool) (any, bool) {
	n := 0.0
	if on {
		n = 1
	}
	return n, !f.text && f.max <= 1 && n <= f.max
}

// patch takes all that is written or, where one thing is wrong, nothing.
func patch(c *call) (any, error) {
	var written map[string]any
	if json.Unmarshal(c.body, &written) != nil || written == nil {
		return nil, refusal{http.StatusBadRequest, "Invalid JSON"}
	}
	accepted := object{}
	for name, f := range fields {
		raw, ok := named(written, name)
		if !ok {
			continue
		}
		v, ok := f.value(raw)
		if !ok {
			return nil, refusal{http.StatusBadRequest, "Wrong API input"}
		}
		if !secret[name] {
			accepted[name] = v
		}
	}
	before := c.frequency()
	maps.Copy(c.settings, accepted)
	c.retune(c.m, before)
	return "", nil
}

// named finds a key, upper and lower case being the same.
func named(written map[string]any, name string) (any, bool) {
	if v, ok := written[name]; ok {
		return v, true
	}
	for key, v := range written {
		if strings.EqualFold(key, name) {
			return v, true
		}
	}
	return nil, false
}

func pause(c *call) (any, error) {
	c.state.pause(c.m)
	return object{"message": "Mining paused"}, nil
}

func resume(c *call) (any, error) {
	c.state.resume(c.m)
	return object{"message": "Mining resumed"}, nil
}

func restart(c *call) (any, error) {
	c.m.CommandReboot(false)
	return object{"message": "System will restart shortly."}, nil
}

// identify says hello, or no longer.
func identify(c *call) (any, error) {
	c.state.identify = !c.state.identify
	if c.state.identify {
		return object{"message": `The device says "Hi!" for 30 seconds.`}, nil
	}
	return object{"message": `The device no longer says "Hi!".`}, nil
}
