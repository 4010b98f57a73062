package minersim

import (
	"math"
	"testing"
	"time"
)

func TestLateTakesEffectAfterReplyAndDelay(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	m.SetPersona(Late)
	if d := m.ReplyDelay(); d != 2*time.Second {
		t.Errorf("replies after %s", d)
	}
	m.Command(asleep())
	m.Advance(9900 * time.Millisecond)
	if s := m.State(); s != Hashing {
		t.Errorf("%s before the effect was due", s)
	}
	m.Advance(13 * time.Second)
	if s := m.State(); s != Sleeping {
		t.Errorf("%s after the effect was due", s)
	}
}

// TestLateOrdersOutliveThePersona: what is on its way still comes, unless a newer order does.
func TestLateOrdersOutliveThePersona(t *testing.T) {
	for name, newer := range map[string]bool{"alone": false, "overtaken": true} {
		m, _ := testMachine(1, DefaultTuning())
		m.SetPersona(Late)
		m.Command(asleep())
		m.SetPersona(Good)
		want := Sleeping
		if newer {
			m.Command(Order{Watts: testWatts, Ramp: time.Second})
			want = Hashing
		}
		m.Advance(time.Minute)
		if s := m.State(); s != want {
			t.Errorf("%s: %s, want %s", name, s, want)
		}
	}
}

func TestDeafDoesNothing(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	m.SetPersona(Deaf)
	m.Command(asleep())
	m.CommandReboot(false)
	m.Advance(time.Hour)
	if s := m.State(); s != Hashing || m.Reboots() != 0 {
		t.Errorf("%s after %d reboots", s, m.Reboots())
	}
}

func TestDarkGoesOnDrawing(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	m.SetPersona(Dark)
	m.Advance(time.Minute)
	if m.Reachable() {
		t.Error("a dark machine answers")
	}
	if w := m.Watts(); w < 0.98*testWatts {
		t.Errorf("draws %g W in the dark", w)
	}
	m.SetPersona(Good)
	if !m.Reachable() {
		t.Error("does not come back")
	}
}

func TestRebootGoesDarkThenDoesWhatItRemembers(t *testing.T) {
	m, mem := testMachine(1, DefaultTuning())
	mem.order = asleep()
	m.Reboot(false)
	m.Advance(time.Second)
	if m.Reachable() || m.State() != Booting || m.Watts() > m.ResidualWatts+1e-9 {
		t.Errorf("reachable %t, %s, %g W right after a reboot", m.Reachable(), m.State(), m.Watts())
	}
	if m.Boot < 30*time.Second || m.Boot > 50*time.Second {
		t.Errorf("boots in %s", m.Boot)
	}
	m.Advance(m.Boot + time.Minute)
	if !m.Reachable() || m.State() != Sleeping {
		t.Errorf("reachable %t, %s after a boot that remembers sleep", m.Reachable(), m.State())
	}
	if up := m.Uptime(); up != time.Minute {
		t.Errorf("up for %s", up)
	}
}

// TestRebootsHotComesBackAtFullPower: though told to sleep, and though memory says sleep.
func TestRebootsHotComesBackAtFullPower(t *testing.T) {
	m, mem := testMachine(1, DefaultTuning())
	m.SetPersona(RebootsHot)
	m.Command(asleep())
	mem.order = asleep()
	m.Advance(30 * time.Second)
	if s := m.State(); s != Sleeping {
		t.Fatalf("%s: reboots-hot obeys until it reboots", s)
	}
	var boots []time.Duration
	for at := 30 * time.Second; at < 2*time.Hour; at += time.Second {
		n := m.Reboots()
		m.Advance(at)
		if m.Reboots() > n {
			boots = append(boots, at)
		}
	}
	if len(boots) < 15 || len(boots) > 30 {
		t.Errorf("%d reboots in two hours of 300 s and a boot each", len(boots))
	}
	for i := 1; i < len(boots); i++ {
		if gap := boots[i] - boots[i-1] - m.Boot; gap < 209*time.Second || gap > 392*time.Second {
			t.Errorf("%s between boots", gap)
		}
	}
	m.SetPersona(Good)
	m.Advance(3 * time.Hour)
	if w := m.Watts(); math.Abs(w/testWatts-1) > 0.0151 {
		t.Errorf("%g W after a hot reboot", w)
	}
}

func TestRebootLosesLateOrders(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	m.SetPersona(Late)
	m.Command(asleep())
	m.Reboot(false)
	m.Advance(10 * time.Minute)
	if s := m.State(); s != Hashing {
		t.Errorf("%s: obeyed an order from before the boot", s)
	}
}

func TestParsePersonaListsTheKnownOnes(t *testing.T) {
	if _, err := ParsePersona("grumpy"); err == nil || err.Error() != `unknown persona "grumpy"; known: good, late, deaf, dark, reboots-hot, liar, busy, weak, drifts, fragile` {
		t.Errorf("%v", err)
	}
}
