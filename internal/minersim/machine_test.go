package minersim

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// memory is the least firmware: it remembers one order.
type memory struct{ order, fallback Order }

func (m *memory) Boot(hot bool) Order {
	if hot {
		return m.fallback
	}
	return m.order
}

const testWatts = 3500

func testMachine(seed uint64, tuning Tuning) (*Machine, *memory) {
	model, err := FindModel("S21")
	if err != nil {
		panic(err)
	}
	full := Order{Watts: testWatts, Lag: time.Second, Ramp: 30 * time.Second}
	mem := &memory{order: full, fallback: full}
	return NewMachine(NewTraits(seed, "a", model, 40, tuning), mem, 0, full), mem
}

func asleep() Order { return Order{Lag: 200 * time.Millisecond, Ramp: 2 * time.Second} }

func drawOrder(t *rapid.T) Order {
	o := Order{
		Lag:  time.Duration(rapid.Int64Range(0, 5000).Draw(t, "lag ms")) * time.Millisecond,
		Ramp: time.Duration(rapid.Int64Range(0, 60000).Draw(t, "ramp ms")) * time.Millisecond,
	}
	if rapid.Bool().Draw(t, "awake") {
		o.Watts = rapid.Float64Range(1200, 4000).Draw(t, "watts")
	}
	if rapid.Bool().Draw(t, "dip") {
		o.Dip = 5 * time.Second
		o.DipKeeps = rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "keeps")
	}
	if rapid.Bool().Draw(t, "holds") {
		o.Hold = time.Duration(rapid.Int64Range(1, 60000).Draw(t, "hold ms")) * time.Millisecond
		o.Next = rapid.Float64Range(1200, 4000).Draw(t, "next")
	}
	return o
}

// disturb does one random thing to a machine.
func disturb(t *rapid.T, m *Machine, mem *memory) {
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0, 1:
		mem.order = drawOrder(t)
		m.Command(mem.order)
	case 2:
		m.SetPersona(rapid.SampledFrom(Personas).Draw(t, "persona"))
	case 3:
		m.CommandReboot(rapid.Bool().Draw(t, "hot"))
	case 4:
		m.Reboot(false)
	}
}

// TestWattsAreBoundedAndContinuous: whatever is asked of a machine, its watts stay between asleep
// and the highest order, and never move faster than its supply lets go.
func TestWattsAreBoundedAndContinuous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, mem := testMachine(rapid.Uint64().Draw(t, "seed"), DefaultTuning())
		const step = 100 * time.Millisecond
		// All of the level within fallTime, and a little for the drift.
		fastest := 4000*step.Seconds()/fallTime.Seconds()*1.02 + 1
		before := m.Watts()
		for range 30 {
			disturb(t, m, mem)
			for range rapid.IntRange(1, 200).Draw(t, "steps") {
				m.Advance(m.Now() + step)
				w := m.Watts()
				if w < m.ResidualWatts-1e-9 || w > 4000*1.016 {
					t.Fatalf("%g W is not between %g W asleep and 4,000 W and its drift", w, m.ResidualWatts)
				}
				if math.Abs(w-before) > fastest {
					t.Fatalf("watts jumped from %g to %g within %s", before, w, step)
				}
				before = w
			}
		}
	})
}

// TestSettles: left alone, a good machine is where its last order said, within the drift.
func TestSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, mem := testMachine(rapid.Uint64().Draw(t, "seed"), DefaultTuning())
		for range 5 {
			disturb(t, m, mem)
			m.Advance(m.Now() + 10*time.Second)
		}
		m.SetPersona(Good)
		m.Advance(m.Now() + time.Hour)
		o := drawOrder(t)
		m.Command(o)
		ramp := max(o.Ramp, fallTime)
		m.Advance(m.Now() + o.Lag + o.Dip + ramp)
		if o.Dip > 0 {
			m.Advance(m.Now() + fallTime)
		}
		isAt(t, m, o.Watts)
		if o.Hold > 0 {
			m.Advance(m.Now() + o.Hold)
			isAt(t, m, o.Watts)
			m.Advance(m.Now() + ramp)
			isAt(t, m, o.Next)
		}
		if s := m.State(); s != Hashing && s != Sleeping {
			t.Fatalf("still %s", s)
		}
	})
}

func isAt(t *rapid.T, m *Machine, told float64) {
	t.Helper()
	want := math.Max(told, m.ResidualWatts)
	if got := m.Watts(); math.Abs(got-want) > 0.0151*want {
		t.Fatalf("settled at %g W, told %g W", got, want)
	}
	if (told == 0) != (m.TeraHashes() == 0) {
		t.Fatalf("told %g W, hashes at %g TH/s", told, m.TeraHashes())
	}
}

// TestStepsDoNotMatter: a machine looked at often is where one looked at once is.
func TestStepsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		once, _ := testMachine(seed, DefaultTuning())
		often, _ := testMachine(seed, DefaultTuning())
		p := rapid.SampledFrom(Personas).Draw(t, "persona")
		o := drawOrder(t)
		for _, m := range []*Machine{once, often} {
			m.SetPersona(p)
			m.Command(o)
		}
		end := time.Duration(rapid.Int64Range(1, 3_000_000).Draw(t, "end ms")) * time.Millisecond
		for at := time.Duration(0); at < end; at += 7 * time.Second {
			often.Advance(at)
		}
		once.Advance(end)
		often.Advance(end)
		if a, b := once.Watts(), often.Watts(); math.Abs(a-b) > 1e-6 {
			t.Fatalf("%g W when looked at once, %g W when often", a, b)
		}
		if once.Reboots() != often.Reboots() {
			t.Fatalf("%d reboots when looked at once, %d when often", once.Reboots(), often.Reboots())
		}
	})
}

func TestTraitsFollowTheSeed(t *testing.T) {
	model, _ := FindModel("S19k Pro")
	a := NewTraits(3, "127.0.0.1", model, 25, DefaultTuning())
	if b := NewTraits(3, "127.0.0.1", model, 25, DefaultTuning()); a.NominalWatts != b.NominalWatts || a.Boot != b.Boot {
		t.Error("the same seed and key make another machine")
	}
	if b := NewTraits(3, "127.0.0.2", model, 25, DefaultTuning()); a.NominalWatts == b.NominalWatts {
		t.Error("another key makes the same machine")
	}
	if b := NewTraits(4, "127.0.0.1", model, 25, DefaultTuning()); a.NominalWatts == b.NominalWatts {
		t.Error("another seed makes the same machine")
	}
}

// TestTrueWattsLieAroundTheTarget: within 1.5 %, or up to 4 % over where the fleet says so.
func TestTrueWattsLieAroundTheTarget(t *testing.T) {
	over := DefaultTuning()
	over.OverTargetPercent = 3.5
	for name, c := range map[string]struct {
		tuning    Tuning
		low, high float64
	}{
		"default":     {DefaultTuning(), -0.0151, 0.0151},
		"over target": {over, -0.0151, 0.0401},
	} {
		highest := -1.0
		for seed := range uint64(300) {
			m, _ := testMachine(seed, c.tuning)
			for range 50 {
				m.Advance(m.Now() + 37*time.Second)
				off := m.Watts()/testWatts - 1
				highest = math.Max(highest, off)
				if off < c.low || off > c.high {
					t.Fatalf("%s: %g W for a target of %d W", name, m.Watts(), testWatts)
				}
			}
			if e := m.ReportedWatts()/m.Watts() - 1; math.Abs(e) > 0.0101 {
				t.Fatalf("%s: reports %.2f %% off", name, 100*e)
			}
		}
		if highest < c.high/2 {
			t.Errorf("%s: never more than %.2f %% over the target", name, 100*highest)
		}
	}
}

func TestAveragesLagBehind(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	m.Command(asleep())
	m.Advance(10 * time.Second)
	if th := m.AverageTeraHashes(5 * time.Second); th != 0 {
		t.Errorf("five seconds' average is %g TH/s after eight seconds asleep", th)
	}
	if th := m.AverageTeraHashes(5 * time.Minute); th < 150 {
		t.Errorf("five minutes' average is %g TH/s, which forgot the minutes before", th)
	}
}

func TestADipOfOneBoardKeepsTheOthers(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	before := m.Watts()
	m.Command(Order{Watts: testWatts, Dip: 5 * time.Second, DipKeeps: 2.0 / 3, Ramp: 5 * time.Second})
	m.Advance(3 * time.Second)
	if w := m.Watts(); w < 0.6*before || w > 0.7*before {
		t.Errorf("%g W of %g W while one board of three is off", w, before)
	}
}
