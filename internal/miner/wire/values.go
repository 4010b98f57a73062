// Package wire reads what mining machines put on the wire: numbers that come as strings, flags that come
// as words, replies that end by NUL, by close or not at all, and carries requests over HTTP. It bounds
// everything it reads and decides nothing of what a machine is told.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxReply is the most bytes of one reply that are read.
	MaxReply = 1 << 20
	// MaxDepth is the deepest nesting of a reply that is followed.
	MaxDepth = 64
	// MaxWatts is the most one machine can plausibly draw. A reading above it counts as not said, and
	// what is not said counts as rated (rule L5).
	MaxWatts = 100_000
	// maxMagnitude keeps every number convertible to int64.
	maxMagnitude = 1e15
	// maxText bounds a name, version or message taken from a reply, in bytes.
	maxText = 256
)

// Number is a JSON number, or a string that holds one. Anything else, null included, leaves it unset:
// one odd field never spoils a reading.
type Number struct {
	Value float64
	Set   bool
}

// UnmarshalJSON accepts 5, 5.0, "5" and " 5 "; it never fails.
func (n *Number) UnmarshalJSON(data []byte) error {
	*n = Number{}
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return nil //nolint:nilerr // an unreadable field is an unset one
		}
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(value) || math.Abs(value) > maxMagnitude {
		return nil //nolint:nilerr // an unreadable field is an unset one
	}
	*n = Number{Value: value, Set: true}
	return nil
}

// Watts is the number as whole watts, rounded up so that a bound is never too low; nil where it is
// unset or no power that one machine can draw.
func (n Number) Watts() *int64 {
	if !n.Set || n.Value < 0 || n.Value > MaxWatts {
		return nil
	}
	watts := int64(math.Ceil(n.Value))
	return &watts
}

// Scaled is the number times factor; nil where it is unset or negative.
func (n Number) Scaled(factor float64) *float64 {
	if !n.Set || n.Value < 0 {
		return nil
	}
	value := n.Value * factor
	return &value
}

// Seconds is the number as a duration of whole seconds; nil where it is unset, negative or longer than a
// machine can have run.
func (n Number) Seconds() *time.Duration {
	const longest = 1 << 32
	if !n.Set || n.Value < 0 || n.Value > longest {
		return nil
	}
	d := time.Duration(n.Value) * time.Second
	return &d
}

// Int is the number as an integer, and whether it is one.
func (n Number) Int() (int64, bool) {
	if !n.Set || n.Value != math.Trunc(n.Value) {
		return 0, false
	}
	return int64(n.Value), true
}

// Text is a JSON string, or a number as it was written. Anything else leaves it empty.
type Text string

// UnmarshalJSON never fails.
func (t *Text) UnmarshalJSON(data []byte) error {
	*t = ""
	var text string
	if json.Unmarshal(data, &text) == nil {
		*t = Text(Clean(text))
		return nil
	}
	var number json.Number
	if json.Unmarshal(data, &number) == nil {
		*t = Text(Clean(number.String()))
	}
	return nil
}

// Flag is a JSON boolean, or a word or number that means one.
type Flag struct {
	Value bool
	Set   bool
}

// UnmarshalJSON accepts true, "true", "Y", "on", 1 and their opposites; it never fails.
func (f *Flag) UnmarshalJSON(data []byte) error {
	switch strings.ToLower(strings.Trim(string(data), `" `)) {
	case "true", "y", "yes", "on", "1":
		*f = Flag{Value: true, Set: true}
	case "false", "n", "no", "off", "0":
		*f = Flag{Set: true}
	default:
		*f = Flag{}
	}
	return nil
}

// List is a JSON array of objects, or one bare object. Elements that do not fit are left out.
type List[T any] []T

// UnmarshalJSON never fails.
func (l *List[T]) UnmarshalJSON(data []byte) error {
	*l = nil
	var many []json.RawMessage
	if json.Unmarshal(data, &many) != nil {
		many = []json.RawMessage{data}
	}
	for _, raw := range many {
		if len(raw) == 0 || raw[0] != '{' {
			continue
		}
		var one T
		if json.Unmarshal(raw, &one) == nil {
			*l = append(*l, one)
		}
	}
	return nil
}

// First is the first element, or the zero value.
func (l List[T]) First() T {
	if len(l) == 0 {
		var zero T
		return zero
	}
	return l[0]
}

// Clean makes text from a machine fit for a log line or a status: no control characters, no stray
// quotes around it, and bounded.
func Clean(text string) string {
	if len(text) > 4*maxText {
		text = text[:4*maxText]
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, text)
	text = strings.Trim(strings.TrimSpace(text), `'"`)
	for len(text) > maxText {
		runes := []rune(text)
		text = string(runes[:len(runes)-1-(len(text)-maxText)/4])
	}
	return text
}

// Decode fills out from JSON. A field of an unexpected type is left as it is and is no error; text that
// is not JSON, nor what Mend makes JSON of, is one.
func Decode(data []byte, out any) error {
	err := json.Unmarshal(data, out)
	if _, broken := errors.AsType[*json.SyntaxError](err); broken {
		if mended := Mend(data); json.Valid(mended) {
			err = json.Unmarshal(mended, out)
		}
	}
	var wrongType *json.UnmarshalTypeError
	if err == nil || errors.As(err, &wrongType) {
		return nil
	}
	return fmt.Errorf("reading JSON: %w", err)
}

// MAC is a hardware address in lower case with colons; empty where the text is none, or all zeros.
func MAC(text Text) string {
	mac, err := net.ParseMAC(string(text))
	if err != nil || len(mac) != 6 || bytes.Equal(mac, make([]byte, 6)) {
		return ""
	}
	return mac.String()
}

// Serial is a serial number, without the words that firmwares write where there is none.
func Serial(text Text) string {
	switch strings.ToLower(string(text)) {
	case "n/a", "na", "none", "null", "unknown", "0":
		return ""
	}
	return string(text)
}
