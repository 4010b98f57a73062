package antminer

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Models of 2019 take their whole configuration as a form of sixteen fields. Their script counts the fields and does
// not look at names, knows no escape but those below, and writes a new configuration out of nothing but them: so none is
// sent that would not come out as it was read.

// formSleep is the mode that such a machine calls sleep; 0 is the only other one that their pages have beside it.
const formSleep mode = "254"

// formMode is the mode in the configuration of a model of 2019. Numbers that newer ones have for sleep are others here.
func formMode(text wire.Text) mode {
	switch m := mode(strings.TrimSpace(string(text))); m {
	case "":
		return ""
	case formSleep:
		return sleep
	case normal:
		return normal
	default:
		return "form-" + m
	}
}

// constants are what the script writes into every configuration.
var constants = map[string]string{
	"api-listen": "true", "api-network": "true", "api-groups": "A:stats:pools:devs:summary:version", "api-allow": "A:0/0,W:*",
	"bitmain-use-vil": "true",
}

// flags are switches that the script writes only where they are on, by the name of their field.
var flags = map[string]string{
	"bitmain-nobeeper": "_ant_nobeeper", "bitmain-notempoverctrl": "_ant_notempoverctrl", "bitmain-fan-ctrl": "_ant_fan_customize_switch",
}

// texts are the other settings.
var texts = map[string]string{ //nolint:gosec // no secret: names of settings and fields
	"bitmain-fan-pwm": "_ant_fan_customize_value", "bitmain-freq": "_ant_freq", "bitmain-voltage": "_ant_voltage", workMode: "_ant_work_mode",
}

// order of the fields after those of the pools.
var formOrder = []string{
	"_ant_nobeeper", "_ant_notempoverctrl", "_ant_fan_customize_switch", "_ant_fan_customize_value", "_ant_freq", "_ant_voltage", "_ant_work_mode",
}

// formPools is how many pools the form has.
const formPools = 3

// formPool is one of them.
type formPool struct {
	URL  *string `json:"url"`
	User *string `json:"user"`
	Pass *string `json:"pass"`
}

// form is the body that sets a mode and nothing else.
func (c conf) form(m mode) (string, error) {
	values := map[string]string{
		"_ant_nobeeper": "false", "_ant_notempoverctrl": "false", "_ant_fan_customize_switch": "false", "_ant_fan_customize_value": "",
	}
	for key, raw := range c.fields {
		if err := formValue(values, key, raw); err != nil {
			return "", err
		}
	}
	if incomplete(values) {
		return "", lossy("a part of its clock, voltage or fans")
	}
	values["_ant_work_mode"] = string(m)
	if m == sleep {
		values["_ant_work_mode"] = string(formSleep)
	}
	fields, err := c.poolFields()
	if err != nil {
		return "", err
	}
	for _, name := range formOrder {
		text, err := escaped(values[name])
		if err != nil {
			return "", err
		}
		fields = append(fields, name+"="+text)
	}
	return strings.Join(fields, "&"), nil
}

// incomplete says that the script would fill something in, or leave it out.
func incomplete(values map[string]string) bool {
	return values["_ant_freq"] == "" || values["_ant_voltage"] == "" ||
		values["_ant_fan_customize_switch"] == "false" && values["_ant_fan_customize_value"] != ""
}

// lossy is a configuration that would not survive an order.
func lossy(what string) error {
	return fmt.Errorf("%w: the form of its model has no way to keep %s", miner.ErrUnsupported, what)
}

// formValue takes one setting, or refuses one that the script would lose or change.
func formValue(values map[string]string, key string, raw json.RawMessage) error {
	if key == "pools" {
		return nil
	}
	var text wire.Text
	_ = text.UnmarshalJSON(raw)
	if want, ok := constants[key]; ok {
		if string(text) != want && string(raw) != want {
			return lossy(key)
		}
		return nil
	}
	if name, ok := flags[key]; ok {
		if on := string(raw) == "true" || text == "true"; on {
			values[name] = "true"
		}
		return nil
	}
	name, ok := texts[key]
	if !ok {
		return lossy(key)
	}
	values[name] = string(text)
	return nil
}

// poolFields are those of the pools, empty where there are fewer.
func (c conf) poolFields() ([]string, error) {
	var list []map[string]json.RawMessage
	if json.Unmarshal(c.fields["pools"], &list) != nil || len(list) == 0 || len(list) > formPools {
		return nil, lossy("its mining pools")
	}
	var fields []string
	for i := range formPools {
		values := make([]string, 3)
		if i < len(list) {
			var ok bool
			if values, ok = poolValues(list[i]); !ok {
				return nil, lossy("its mining pools")
			}
		}
		for j, name := range []string{"url", "user", "pw"} {
			text, err := escaped(values[j])
			if err != nil {
				return nil, err
			}
			fields = append(fields, fmt.Sprintf("_ant_pool%d%s=%s", i+1, name, text))
		}
	}
	return fields, nil
}

// poolValues are those of one pool, if they are all it has.
func poolValues(from map[string]json.RawMessage) ([]string, bool) {
	var p formPool
	raw, _ := json.Marshal(from)
	if len(from) != 3 || json.Unmarshal(raw, &p) != nil || p.URL == nil || p.User == nil || p.Pass == nil {
		return nil, false
	}
	return []string{*p.URL, *p.User, *p.Pass}, true
}

// escapes are what the script undoes. It undoes a percent sign before others, so that one can't be sent.
const escapes = "#$&,+:;<=>?@[]^{|}/"

// plain is what goes as it is.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~()"

// escaped is a value as a browser sends it; one that the script can't read back is refused, and never shown.
func escaped(value string) (string, error) {
	var out strings.Builder
	for _, r := range value {
		switch {
		case strings.ContainsRune(plain, r):
			out.WriteRune(r)
		case r == ' ':
			out.WriteByte('+')
		case strings.ContainsRune(escapes, r):
			fmt.Fprintf(&out, "%%%02X", r)
		default:
			return "", lossy("a character in one of its settings, such as the password of a mining pool")
		}
	}
	return out.String(), nil
}
