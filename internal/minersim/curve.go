package minersim

import "math"

// Watts of a miner against its clock, both as a share of the default: share of watts =
// fixed + linear*x + square*x^2. Fitted to the 25 profiles an S19k Pro on LuxOS reported
// (190 to 790 MHz, 784 to 4,195 W); hashrate is proportional to the clock there. The fixed
// part is fans and electronics, the square part the higher voltage a higher clock needs.
const (
	curveFixed  = 0.060
	curveLinear = 0.541
	curveSquare = 0.399
)

// WattShare is the share of default watts a clock of x times the default needs.
func WattShare(x float64) float64 {
	if x <= 0 {
		return 0
	}
	return curveFixed + x*(curveLinear+curveSquare*x)
}

// HashShare is the share of the default hashrate that a share w of the default watts buys:
// the inverse of WattShare, rising and concave, 0 where watts only feed the fixed part.
func HashShare(w float64) float64 {
	if w <= curveFixed {
		return 0
	}
	root := math.Sqrt(curveLinear*curveLinear + 4*curveSquare*(w-curveFixed))
	return (root - curveLinear) / (2 * curveSquare)
}
