package marafw

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	modeAuto  = "Auto"
	modeFixed = "Fixed"
	modeStock = "Stock"
	modeSleep = "Sleep"
)

const (
	selectorKey = "work-mode-selector"
	tunerKey    = "concorde"
	goalKey     = "mode-select"
	wattsKey    = "power-target"
	byWatts     = "PowerTarget"
)

type object map[string]json.RawMessage

// conf is a configuration as read. It may hold credentials of mining pools, which go back to the machine and
// nowhere else.
type conf struct {
	fields, mode, tuner object
}

// confOf reads one; ok is false where the text is none.
func confOf(body []byte) (c conf, ok bool) {
	if wire.Decode(payload(body), &c.fields) != nil || len(c.fields) == 0 {
		return conf{}, false
	}
	// What is missing leaves a machine that can't be told anything.
	if json.Unmarshal(c.fields["mode"], &c.mode) == nil {
		_ = json.Unmarshal(c.mode[tunerKey], &c.tuner)
	}
	return c, true
}

func (o object) text(key string) string {
	var text wire.Text
	_ = text.UnmarshalJSON(o[key])
	return string(text)
}

// selector is the mode set; empty where it names none.
func (c conf) selector() string { return c.mode.text(selectorKey) }

func (c conf) asleep() bool { return strings.EqualFold(c.selector(), modeSleep) }

// target is the watts that the tuner is set to, whether or not it is running; nil where it goes by something else.
func (c conf) target() *int64 {
	if !strings.EqualFold(c.tuner.text(goalKey), byWatts) {
		return nil
	}
	var n wire.Number
	_ = n.UnmarshalJSON(c.tuner[wattsKey])
	watts := n.Watts()
	if watts == nil || *watts == 0 {
		return nil
	}
	return watts
}

// is says whether a configuration already says so; no target is whatever it has.
func (c conf) is(selector string, target *int64) bool {
	now := c.target()
	return strings.EqualFold(c.selector(), selector) && (target == nil || now != nil && *now == *target)
}

// with is the whole configuration with another mode and, where one is given, another target. Everything else goes
// back as it came.
func (c conf) with(selector string, target *int64) ([]byte, error) {
	fields, mode := maps.Clone(c.fields), maps.Clone(c.mode)
	if target != nil {
		tuner := maps.Clone(c.tuner)
		tuner[wattsKey] = fmt.Append(nil, *target)
		raw, err := encode(tuner)
		if err != nil {
			return nil, err
		}
		mode[tunerKey] = raw
	}
	raw, err := encode(selector)
	if err != nil {
		return nil, err
	}
	mode[selectorKey] = raw
	if fields["mode"], err = encode(mode); err != nil {
		return nil, err
	}
	return encode(fields)
}

// encode leaves < > and & as they are.
func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("writing its configuration: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
