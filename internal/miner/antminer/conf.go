package antminer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// mode is what a machine runs: 0 normal, 1 sleep, 2 and 3 what its model makes of them.
type mode string

const (
	normal mode = "0"
	sleep  mode = "1"
)

// modeOf folds the ways a mode is written; empty where the text is none.
func modeOf(text wire.Text) mode {
	folded := strings.ToLower(strings.TrimSpace(string(text)))
	switch folded {
	case "254", "5", "sleep", "sleeping", "idle", "stopped": // 254: models of 2019; 5: seen not to mine
		return sleep
	case "normal":
		return normal
	}
	if n, err := strconv.ParseUint(folded, 10, 8); err == nil {
		return mode(strconv.FormatUint(n, 10))
	}
	return ""
}

// String is the mode for people.
func (m mode) String() string {
	switch m {
	case "":
		return ""
	case normal:
		return "Normal"
	case sleep:
		return "Sleep"
	}
	return "Mode " + string(m)
}

// The key that a mode is read under, and the one that newer scripts take on a write.
const (
	workMode  = "bitmain-work-mode"
	minerMode = "miner-mode"
)

// conf is a configuration as read. It holds credentials of mining pools, which go back to the machine and
// nowhere else.
type conf struct {
	fields map[string]json.RawMessage
	// old is one of a model of 2019.
	old bool
}

// confOf reads one; ok is false where the text is none, which is how a machine on its way up answers.
func confOf(body []byte) (c conf, ok bool) {
	if err := wire.Decode(body, &c.fields); err != nil || len(c.fields) == 0 {
		return conf{}, false
	}
	pools, found := c.fields["pools"]
	var list []json.RawMessage
	return c, found && json.Unmarshal(pools, &list) == nil
}

// has says whether there is a mode to change. A null is one that was never set.
func (c conf) has() bool {
	_, read := c.fields[workMode]
	_, written := c.fields[minerMode]
	return read || written
}

// mode is the one set; asleep only where every key says so. A key that was never set means normal.
func (c conf) mode() mode {
	if c.old {
		var text wire.Text
		_ = text.UnmarshalJSON(c.fields[workMode])
		return formMode(text)
	}
	found := sleep
	for _, key := range []string{minerMode, workMode} {
		raw, ok := c.fields[key]
		if !ok {
			continue
		}
		var text wire.Text
		_ = text.UnmarshalJSON(raw)
		m := modeOf(text)
		if m == "" && (string(raw) == "null" || text == "") {
			m = normal
		}
		if m != sleep {
			found = m
		}
	}
	if !c.has() {
		return ""
	}
	return found
}

// renamed are the keys that are read under one name and written under another.
var renamed = map[string]string{"bitmain-freq-level": "freq-level"}

// bodies are the ways to tell a machine a mode, the surest first. The whole configuration goes back, because some
// releases lose what is left out, with the mode under both of its names: some take the one and some the
// other, and say yes to either. The second way has the kinds of the two values the other way round.
func (c conf) bodies(m mode) ([][]byte, error) {
	if c.old {
		form, err := c.form(m)
		return [][]byte{[]byte(form)}, err
	}
	if len(c.fields) == 0 {
		return nil, fmt.Errorf("%w: it shows no configuration", miner.ErrUnsupported)
	}
	fields := maps.Clone(c.fields)
	for key, raw := range fields {
		if string(raw) == "null" { // never set: left so
			delete(fields, key)
		}
	}
	for read, written := range renamed {
		if raw, ok := fields[read]; ok {
			fields[written] = raw
		}
	}
	number, text := json.RawMessage(m), json.RawMessage(strconv.Quote(string(m)))
	var bodies [][]byte
	for _, kinds := range [][2]json.RawMessage{{number, text}, {text, number}} {
		fields[minerMode] = kinds[0]
		if _, ok := c.fields[workMode]; ok {
			fields[workMode] = kinds[1]
		}
		body, err := encode(fields)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// encode writes values as they were read. The scripts of the firmware split what they are sent at blanks and
// would write empty mining pools for one that has any: such a configuration is not sent.
func encode(fields map[string]json.RawMessage) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return nil, fmt.Errorf("writing its configuration: %w", err)
	}
	body := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if bytes.ContainsAny(body, " \t") {
		return nil, fmt.Errorf("%w: a setting of its own, such as the password of a mining pool, has a blank in it: "+
			"its firmware would lose its pools; take the blank out", miner.ErrUnsupported)
	}
	return body, nil
}
