package fit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// settled is long enough for every order given before to have been verified, retries of sleeps that
// the physical model never needs not counted.
const grace = 100 * sec

// Machines that keep to their declared times: bounds cover true watts at every second, and some time
// after an allowance fell true watts are under it, and stay.
func TestTruthStaysUnderBoundAndAllowance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSite(t, rapid.IntRange(1, 7).Draw(t, "n"), models)
		rated := Sum(s.devices, 0).Rated
		s.allowance = rated
		fell := s.now
		for range rapid.IntRange(2, 6).Draw(t, "leases") {
			next := rated * Watts(rapid.IntRange(0, 110).Draw(t, "percent")) / 100
			if next < s.allowance {
				fell = s.now
			}
			s.allowance = next
			s.within = rapid.SampledFrom([]time.Duration{0, 0, 10 * sec, 30 * sec}).Draw(t, "within")
			for range rapid.IntRange(20, 400).Draw(t, "seconds") {
				before := Sum(s.devices, s.now).Bound
				s.step(t)
				s.check(t, before)
				floor := Sum(s.devices, s.now).Floor
				if s.now-fell > grace && s.truth() > float64(max(s.allowance, floor))+1 {
					t.Fatalf("%v: true %.0f W over allowance %d W (floor %d)", s.now, s.truth(), s.allowance, floor)
				}
			}
		}
	})
}

func (s *site) check(t *rapid.T, _ Watts) {
	if b := s.bound(); s.truth() > float64(b)+1 {
		for _, m := range s.machines {
			t.Logf("%s true %.0f bound %d last %+v cmd %v", m.dev.key, m.watts(s.now), m.dev.Bound(s.now), m.dev.last, m.dev.command)
		}
		t.Fatalf("%v: true %.0f W over bound %d W", s.now, s.truth(), b)
	}
}
