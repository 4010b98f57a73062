package power_test

import (
	"testing"

	"github.com/counterweight-dev/counterweight/internal/power"
)

func TestWattsString(t *testing.T) {
	tests := map[power.Watts]string{
		0:              "0 W",
		999:            "999 W",
		1000:           "1 kW",
		10_200:         "10.2 kW",
		10_050:         "10.05 kW",
		1_000_001:      "1.000001 MW",
		20_000_000:     "20 MW",
		-400_000:       "-400 kW",
		-5:             "-5 W",
		3_000_000_070:  "3.00000007 GW",
		12_500_000_000: "12.5 GW",
	}
	for w, want := range tests {
		if got := w.String(); got != want {
			t.Errorf("%d W: got %q, want %q", int64(w), got, want)
		}
	}
}
