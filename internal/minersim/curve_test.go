package minersim

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// recorded are clock (MHz) and watts of the profiles an S19k Pro reported; 590 MHz is its default.
var recorded = map[float64]float64{
	190: 784, 240: 978, 290: 1188, 340: 1414, 390: 1657, 440: 1916, 490: 2192, 540: 2485, 590: 2794,
	640: 3119, 690: 3461, 740: 3820, 790: 4195,
}

func TestCurveFitsTheRecordedProfiles(t *testing.T) {
	for clock, watts := range recorded {
		got := 2794 * WattShare(clock/590)
		if math.Abs(got/watts-1) > 0.02 {
			t.Errorf("%g MHz: %.0f W, recorded %g W", clock, got, watts)
		}
	}
}

func TestCurveRisesAndIsConcave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float64Range(0.07, 1.6).Draw(t, "a")
		b := a + rapid.Float64Range(0.001, 0.5).Draw(t, "step")
		low, mid, high := HashShare(a), HashShare((a+b)/2), HashShare(b)
		if high <= low {
			t.Fatalf("hashrate falls from %g to %g as watts rise", low, high)
		}
		if mid < (low+high)/2-1e-12 {
			t.Fatalf("not concave between %g and %g", a, b)
		}
		if back := WattShare(mid); math.Abs(back-(a+b)/2) > 1e-9 {
			t.Fatalf("the inverse of %g is %g", (a+b)/2, back)
		}
	})
}

func TestLessPowerIsMoreEfficient(t *testing.T) {
	best := math.Inf(1)
	for share := 1.0; share >= 0.35; share -= 0.05 {
		perHash := share / HashShare(share)
		if perHash >= best {
			t.Errorf("at %.0f %% of the watts a hash costs %g, no less than with more", 100*share, perHash)
		}
		best = perHash
	}
}

func TestNoHashWithoutPower(t *testing.T) {
	if HashShare(0) != 0 || HashShare(curveFixed) != 0 || WattShare(0) != 0 {
		t.Error("hashing for nothing")
	}
	if math.Abs(WattShare(1)-1) > 1e-9 {
		t.Errorf("the default profile takes %g of the default watts", WattShare(1))
	}
}
