package minersim

import (
	"io"
	"math"
	"net"
	"testing"
	"time"
)

func wakes() Order { return Order{Watts: testWatts, Lag: time.Second, Ramp: 10 * time.Second} }

func TestLiarOwnsUpToPartOfItsWatts(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	honest, real := m.ReportedWatts(), m.Watts()
	m.SetPersona(Liar)
	if got := m.ReportedWatts() / honest; math.Abs(got-liarShare) > 1e-9 || m.Watts() != real {
		t.Errorf("reports %g of what it did, and draws %g W of %g W", got, m.Watts(), real)
	}
	m.Command(asleep())
	m.Advance(time.Minute)
	if s := m.State(); s != Sleeping {
		t.Errorf("%s: a liar does as told", s)
	}
}

func TestBusyComesAndGoes(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	m.SetPersona(Busy)
	busy := 0
	for range 600 {
		if m.Busy() {
			busy++
		}
		m.Advance(m.Now() + time.Second)
	}
	if busy != 200 {
		t.Errorf("busy in %d s of 600", busy)
	}
	if m.SetPersona(Good); m.Busy() {
		t.Error("busy without the persona")
	}
}

func TestDriftsLowersItsTarget(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	full := m.TargetWatts() - m.ResidualWatts
	m.SetPersona(Drifts)
	m.Advance(time.Minute)
	if share := (m.TargetWatts() - m.ResidualWatts) / full; math.Abs(share-0.92) > 1e-9 || math.Abs(m.Drift()-0.92) > 1e-9 {
		t.Errorf("at %g of its target after a minute, and says %g", share, m.Drift())
	}
	m.Advance(time.Hour)
	if share := (m.TargetWatts() - m.ResidualWatts) / full; math.Abs(share-driftLeast) > 1e-9 {
		t.Errorf("at %g of its target in the end", share)
	}
	m.Command(asleep())
	m.Advance(m.Now() + time.Minute)
	if m.State() != Sleeping || m.Drift() != 1 {
		t.Errorf("%s, drift %g asleep", m.State(), m.Drift())
	}
	m.Command(wakes())
	m.Advance(m.Now() + 25*time.Second)
	if m.Drift() != 1 {
		t.Errorf("drift %g right after a new target", m.Drift())
	}
	m.Advance(m.Now() + time.Hour)
	if math.Abs(m.Drift()-driftLeast) > 1e-9 {
		t.Errorf("drift %g of a new target in the end", m.Drift())
	}
}

// TestFragileFailsAfterItsThirdRestart: and obeys nothing then, until somebody mends it.
func TestFragileFailsAfterItsThirdRestart(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	m.SetPersona(Fragile)
	for i := range restartsBorne {
		m.Command(asleep())
		m.Advance(m.Now() + time.Minute)
		m.Command(wakes())
		m.Advance(m.Now() + time.Minute)
		if m.State() != Hashing || m.Failed() {
			t.Fatalf("%s after %d restarts", m.State(), i+1)
		}
	}
	m.Command(Order{Watts: testWatts * 0.8, Ramp: time.Second})
	m.Advance(m.Now() + time.Minute)
	if m.Failed() {
		t.Fatal("a new target without a restart broke it")
	}
	m.Reboot(false)
	m.Advance(m.Now() + 10*time.Minute)
	m.Command(wakes())
	m.Advance(m.Now() + 10*time.Minute)
	if m.State() != Broken || !m.Failed() || !m.Reachable() || m.Watts() > m.ResidualWatts {
		t.Errorf("%s at %g W after its fourth restart", m.State(), m.Watts())
	}
	m.SetPersona(Good)
	m.Advance(m.Now() + 10*time.Minute)
	if m.State() != Hashing {
		t.Errorf("%s once mended", m.State())
	}
}

func TestWeakConnectionsEndInTheMiddle(t *testing.T) {
	near, far := net.Pipe()
	weak := &tracked{Conn: near, endpoint: &endpoint{conns: map[net.Conn]struct{}{}}, left: 7}
	go func() {
		_, _ = weak.Write([]byte("hello"))
		if n, err := weak.Write([]byte("world")); n != 2 || err == nil {
			t.Errorf("%d bytes more, %v", n, err)
		}
	}()
	if got, _ := io.ReadAll(far); string(got) != "hellowo" {
		t.Errorf("%q", got)
	}
}

// TestAnotherMasterSetsBack what it found when its time is over, once, and only what was told in that time.
func TestAnotherMasterSetsBack(t *testing.T) {
	m, _ := testMachine(1, DefaultTuning())
	backs := 0
	contest := func() { m.Contest(func() { backs++ }) }
	contest()
	m.SetPersona(Busy)
	m.Advance(m.Now() + busyFor - time.Second)
	if left := m.BusyFor(); left != time.Second {
		t.Errorf("busy for another %s", left)
	}
	contest()
	contest()
	m.Advance(m.Now() + time.Second)
	if backs != 1 || m.BusyFor() != 0 {
		t.Errorf("set back %d times, busy for another %s", backs, m.BusyFor())
	}
	contest()
	m.Advance(m.Now() + time.Hour)
	contest()
	m.Reboot(false)
	m.Advance(m.Now() + time.Hour)
	if backs != 1 {
		t.Errorf("set back %d times", backs)
	}
}
