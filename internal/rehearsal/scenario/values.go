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
	text := string(data)
	var quoted string
	if json.Unmarshal(data, &quoted) == nil {
		text = quoted
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		w.bad = fmt.Errorf("%q is not watts: want whole watts such as 10200, 10.2k or 4M", text)
		return nil
	}
	n, whole := q.AsInt64()
	if !whole || n < 0 {
		w.bad = fmt.Errorf("%q is not whole watts of 0 or more", text)
		return nil
	}
	w.N = n
	return nil
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
	var seconds float64
	if json.Unmarshal(data, &seconds) == nil {
		d.set(time.Duration(seconds*float64(time.Second)), nil, string(data))
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		d.bad = errors.New("want a duration such as 12s or 1m30s")
		return nil
	}
	parsed, err := time.ParseDuration(text)
	d.set(parsed, err, text)
	return nil
}

func (d *Duration) set(value time.Duration, err error, text string) {
	if err != nil || value < 0 {
		d.bad = fmt.Errorf("%q is not a duration of 0 or more: want one such as 12s or 1m30s", text)
		return
	}
	d.D = value
}

// MarshalJSON writes the duration as Go does.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.D.String()) }
