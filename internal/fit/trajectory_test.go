package fit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// grace is long enough for the slowest model to be shed, verified, and for others to be shed where it
// was not done.
const grace = 300 * sec

// follows plays seconds and checks after each that bounds cover true watts, and, once nothing has
// disturbed the site for a grace, that bounds and true watts are under the allowance as far as floors allow.
func (s *site) follows(t *rapid.T, seconds int) {
	for range seconds {
		s.step(t)
		sum := Sum(s.devices, s.now)
		if truth := s.truth(); truth > float64(sum.Bound)+1 {
			for _, m := range s.machines {
				t.Logf("%s: true %.0f W, bound %d W, last %+v, command %v", m.dev.key, m.watts(s.now), m.dev.Bound(s.now), m.dev.last, m.dev.command)
			}
			t.Fatalf("%v: true %.0f W over bound %d W", s.now, truth, sum.Bound)
		}
		// A reading may flutter over the allowance and be answered; true watts may not.
		slack := sum.Rated / 200
		if over := sum.Bound - max(s.allowance, sum.Floor); over > slack && s.now-s.disturbed > grace {
			for _, m := range s.machines {
				t.Logf("%s: bound %d floor %d, last %+v, command %v, %+v, %+v missed %d held %d", m.dev.key, m.dev.Bound(s.now), m.dev.Floor(s.now), m.dev.last, m.dev.command, m.dev.faults, m.dev.writes, m.dev.missed, m.dev.held)
			}
			t.Fatalf("%v: bound %d W over allowance %d W (floor %d W)", s.now, sum.Bound, s.allowance, sum.Floor)
		}
		if truth := s.truth(); truth > float64(max(s.allowance, sum.Floor))+1 && s.now-s.disturbed > grace {
			t.Fatalf("%v: true %.0f W over allowance %d W (floor %d W)", s.now, truth, s.allowance, sum.Floor)
		}
	}
}

func (s *site) drawLease(t *rapid.T) {
	next := Sum(s.devices, s.now).Rated * Watts(rapid.IntRange(0, 110).Draw(t, "percent")) / 100
	if next < s.allowance {
		s.disturbed = max(s.disturbed, s.now)
	}
	s.allowance = next
	s.within = rapid.SampledFrom([]time.Duration{0, 0, 10 * sec, 30 * sec}).Draw(t, "within")
}

// Machines that keep to their declared times.
func TestBoundsCoverTruthAndFitTheAllowance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSite(t, rapid.IntRange(1, 7).Draw(t, "n"), models)
		for range rapid.IntRange(2, 6).Draw(t, "leases") {
			s.drawLease(t)
			s.follows(t, rapid.IntRange(20, 600).Draw(t, "seconds"))
		}
	})
}

// The same among machines that go deaf, dark, refuse, or reboot to full power: each holds its own
// watts and no more.
func TestBoundsCoverTruthAmongPersonas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSite(t, rapid.IntRange(1, 6).Draw(t, "n"), models)
		for range rapid.IntRange(2, 6).Draw(t, "leases") {
			s.drawLease(t)
			for _, m := range s.machines {
				s.disturb(t, m)
			}
			s.follows(t, rapid.IntRange(20, 900).Draw(t, "seconds"))
		}
	})
}

func (s *site) disturb(t *rapid.T, m *machine) {
	now := s.now
	until := now
	switch rapid.SampledFrom([]string{"good", "good", "deaf", "dark", "hot", "refuses"}).Draw(t, "persona") {
	case "good":
		return
	case "deaf":
		m.deaf = rapid.SampledFrom([]int{1, 2, 3, 1000}).Draw(t, "deaf")
	case "dark":
		m.darkUntil = max(m.darkUntil, now+sec*time.Duration(rapid.IntRange(1, 600).Draw(t, "dark")))
		until = m.darkUntil
	case "hot":
		m.hotAt = now + sec*time.Duration(rapid.IntRange(1, 60).Draw(t, "hot"))
		until = m.hotAt + 60*sec
	case "refuses":
		m.refuses = rapid.IntRange(1, 5).Draw(t, "refuses")
	}
	s.disturbed = max(s.disturbed, until)
}

// A shed starts no machine: one that may have missed the order to wake goes back to sleep, whatever target would fit.
func TestAShedStartsNothing(t *testing.T) {
	stopping := func(d *Device, now time.Duration) {
		r := shows(d, now, sleep)
		r.State, r.Watts = Stopping, d.traits.Nameplate/2
		d.Saw(r)
	}
	for name, c := range map[string]struct {
		sees func(d *Device, now time.Duration)
		want string
	}{
		"asleep":   {func(d *Device, now time.Duration) { d.readsAt(now, sleep) }, "d Sleep"},
		"stopping": {stopping, "d Sleep"},
		"hashing":  {func(d *Device, now time.Duration) { d.readsAt(now, in(lux, 0)) }, "d mode:low@1500W"},
	} {
		t.Run(name, func(t *testing.T) {
			d := device("d", lux, in(lux, 0))
			d.Write(start, in(lux, 2))
			c.sees(d, start+30*sec)
			if diff := cmp.Diff([]string{c.want}, told(Fit([]*Device{d}, 2000, 0, start+31*sec))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
