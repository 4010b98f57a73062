package antminer

import (
	"encoding/json"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// hottest a chip may be said to be, degrees Celsius; more is noise.
const hottest = 150

// temperature is the hottest chip's; nil where none is told.
func (r row) temperature() *float64 {
	var most *float64
	take := func(n float64) {
		if n > 0 && n <= hottest && (most == nil || n > *most) {
			most = &n
		}
	}
	for _, c := range r.Chains {
		for _, n := range c.Chip {
			take(n)
		}
	}
	for _, some := range []temperatures{r.spread.chips, {r.TempMax.Value}, r.spread.boards} {
		if most != nil {
			break
		}
		for _, n := range some {
			take(n)
		}
	}
	return most
}

// spread is what a row of the RPC says of temperatures, in keys that end in the number of a board.
type spread struct {
	chips, boards temperatures
}

// maxKeys bounds how many keys of a row are looked at.
const maxKeys = 1024

func spreadOf(row []byte) spread {
	var fields map[string]json.RawMessage
	var s spread
	if json.Unmarshal(row, &fields) != nil || len(fields) > maxKeys {
		return s
	}
	for key, value := range fields {
		var some temperatures
		_ = some.UnmarshalJSON(value)
		switch strings.TrimRight(key, "0123456789") {
		case "temp_chip", "temp2_", "temp3_": // the last two are inlet and outlet
			s.chips = append(s.chips, some...)
		case "temp":
			s.boards = append(s.boards, some...)
		}
	}
	return s
}

// temperatures takes [44, 56], 44 and "44-44-56-56".
type temperatures []float64

// maxSensors bounds how many sensors of one board are read.
const maxSensors = 64

// UnmarshalJSON never fails.
func (t *temperatures) UnmarshalJSON(data []byte) error {
	*t = nil
	var numbers []wire.Number
	var text wire.Text
	if json.Unmarshal(data, &numbers) != nil && text.UnmarshalJSON(data) == nil {
		for part := range strings.SplitSeq(string(text), "-") {
			var n wire.Number
			_ = n.UnmarshalJSON([]byte(part))
			numbers = append(numbers, n)
		}
	}
	for _, n := range numbers[:min(len(numbers), maxSensors)] {
		if n.Set {
			*t = append(*t, n.Value)
		}
	}
	return nil
}
