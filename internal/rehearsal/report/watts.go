// Package report shows a judgement to people: a line a second while a rehearsal runs, a table, a picture,
// and report.json for machines. It computes nothing that the judgement does not say.
package report

import (
	"fmt"
	"strconv"
)

// unit is a power of 1000 watts.
type unit struct {
	watts float64
	name  string
}

func unitFor(watts int64) unit {
	switch {
	case watts >= 1_000_000:
		return unit{1e6, "MW"}
	case watts >= 10_000:
		return unit{1e3, "kW"}
	}
	return unit{1, "W"}
}

// Watts in three or four digits and a unit.
func Watts(w int64) string {
	u := unitFor(max(w, -w))
	switch u.name {
	case "MW":
		return fmt.Sprintf("%.3f MW", float64(w)/u.watts)
	case "kW":
		return fmt.Sprintf("%.1f kW", float64(w)/u.watts)
	}
	return strconv.FormatInt(w, 10) + " W"
}
