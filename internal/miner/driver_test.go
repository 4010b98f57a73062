package miner

import (
	"errors"
	"fmt"
	"testing"
)

func TestNotApplied(t *testing.T) {
	cases := map[string]struct {
		err  error
		want bool
	}{
		"none":                      {nil, false},
		"busy":                      {fmt.Errorf("x: %w", ErrBusy), true},
		"unauthorised":              {ErrUnauthorized, true},
		"out of range":              {ErrOutOfRange, true},
		"unreachable":               {ErrUnreachable, true},
		"refused":                   {ErrRefused, true},
		"a time-out":                {errors.New("deadline"), false},
		"half applied":              {ErrHalfApplied, false},
		"half applied, then busy":   {errors.Join(ErrBusy, ErrHalfApplied), false},
		"locked":                    {fmt.Errorf("x: %w", ErrLocked), true},
		"a token refused":           {ErrToken, true},
		"an unsupported version":    {ErrVersion, true},
		"perhaps":                   {ErrPerhaps, false},
		"half applied, unreachable": {fmt.Errorf("%w: %w", ErrHalfApplied, ErrUnreachable), false},
	}
	for name, c := range cases {
		if got := NotApplied(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNameplateOf(t *testing.T) {
	for model, want := range map[string]int64{
		"Antminer S21 Pro": 3510, "Bitmain Antminer S19 XP Hyd.": 5304, "antminer s19k pro": 2760, "Antminer S21+": 3564,
		"Antminer S21 Pro Hyd": 0, "": 0, "S21 XP Immersion": 0,
	} {
		plate, ok := NameplateOf(model)
		if plate.Watts != want || ok != (want != 0) {
			t.Errorf("%q: %d W, known %v", model, plate.Watts, ok)
		}
	}
}
