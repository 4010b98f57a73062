package power

import (
	"strconv"
	"strings"
)

// String prints watts exactly, in the largest of W, kW, MW and GW that is not above them: "10.2 kW".
func (w Watts) String() string {
	sign := ""
	n := int64(w)
	if n < 0 {
		sign, n = "-", -n
	}
	unit, div, digits := "W", int64(1), 0
	switch {
	case n >= 1_000_000_000:
		unit, div, digits = "GW", 1_000_000_000, 9
	case n >= 1_000_000:
		unit, div, digits = "MW", 1_000_000, 6
	case n >= 1_000:
		unit, div, digits = "kW", 1_000, 3
	}
	text := strconv.FormatInt(n/div, 10)
	if rest := n % div; rest > 0 {
		frac := strconv.FormatInt(rest, 10)
		frac = strings.Repeat("0", digits-len(frac)) + frac
		text += "." + strings.TrimRight(frac, "0")
	}
	return sign + text + " " + unit
}
