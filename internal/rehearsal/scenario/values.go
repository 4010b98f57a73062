package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// A value that can't be read keeps its problem, so that the check that follows can name the field's path:
// decoders report none for values that decode themselves.
type checked interface{ problem() error }

// Watts are whole watts, written 10200, "10.2k" or "4M".
type Watts struct {
	N   int64
	bad error
}

// W makes Watts.
func W(n int64) Watts { return Watts{N: n} }

func (w Watts) problem() error { return w.bad }

// UnmarshalJSON takes a number or a Kubernetes quantity.
func (w *Watts) UnmarshalJSON(data []byte) error {
	w.N, w.bad = readWatts(data)
	return nil
}

func readWatts(data []byte) (int64, error) {
	text := string(data)
	var quoted string
	if json.Unmarshal(data, &quoted) == nil {
		text = quoted
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not watts: want whole watts such as 10200, 10.2k or 4M", text)
	}
	n, whole := q.AsInt64()
	if !whole || n < 0 {
		return 0, fmt.Errorf("%q is not whole watts of 0 or more", text)
	}
	return n, nil
}

// MarshalJSON writes a plain number.
func (w Watts) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, w.N, 10), nil }

// Duration is written "12s", "1m30s" or as a number of seconds.
type Duration struct {
	D   time.Duration
	bad error
}

// D makes a Duration.
func D(d time.Duration) Duration { return Duration{D: d} }

func (d Duration) problem() error { return d.bad }

// UnmarshalJSON takes a Go duration or a number of seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	d.D, d.bad = readDuration(data)
	return nil
}

func readDuration(data []byte) (time.Duration, error) {
	text := string(data)
	var seconds float64
	if json.Unmarshal(data, &seconds) == nil {
		return notNegative(time.Duration(seconds*float64(time.Second)), nil, text)
	}
	if json.Unmarshal(data, &text) != nil {
		return 0, errors.New("want a duration such as 12s or 1m30s")
	}
	parsed, err := time.ParseDuration(text)
	return notNegative(parsed, err, text)
}

func notNegative(value time.Duration, err error, text string) (time.Duration, error) {
	if err != nil || value < 0 {
		return 0, fmt.Errorf("%q is not a duration of 0 or more: want one such as 12s or 1m30s", text)
	}
	return value, nil
}

// MarshalJSON writes the duration as Go does.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.D.String()) }
