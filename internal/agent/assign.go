package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// assign takes up an assignment: addresses that stay keep their machines and all that is known of them.
func (a *Agent) assign(now time.Duration, next lease.Assignment) {
	before := a.assignment
	addrs, errs := expand(next.Ranges)
	for _, err := range errs {
		a.cfg.Log.Error(err, "Ignoring an address range of the assignment")
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	old := make(map[netip.Addr]*slot, len(a.slots))
	for _, s := range a.slots {
		old[s.addr] = s
	}
	slots := make([]*slot, 0, len(addrs))
	for _, addr := range addrs {
		s, ok := old[addr]
		if !ok {
			s = &slot{addr: addr, regular: now}
		}
		delete(old, addr)
		slots = append(slots, s)
	}
	for _, s := range a.slots { // in their order: what is cut short first ends first
		if old[s.addr] != nil {
			a.letGo(now, s)
		}
	}
	a.assignment, a.assigned, a.slots = next, true, slots
	a.adapt(now, before, next)
	a.cfg.Log.Info("Took up an assignment", "generation", a.generation, "epoch", a.epoch,
		"addresses", len(slots), "letGo", len(old), "firmware", next.Firmware, "observe", next.Observe)
}

// letGo forgets an address. Its machine keeps what it runs; a write in flight is cut short, and until it
// has ended the assignment does not count as taken up (L9).
func (a *Agent) letGo(now time.Duration, s *slot) {
	s.gone = true
	if s.machine != nil {
		a.forget(now, s.machine)
	}
	if s.op == nil {
		return
	}
	s.op.cancel()
	if s.op.task == applying {
		a.letting++
	}
}

// forget keeps a machine's watts out of the lease in force: it may draw on wherever it is now.
func (a *Agent) forget(now time.Duration, m *machine) {
	a.left, a.leftAt = a.left+m.device.Bound(now), now
	delete(a.keys, m.key)
}

// adapt makes the machines that stay follow what else the assignment changed.
func (a *Agent) adapt(now time.Duration, before, next lease.Assignment) {
	reopen := before.Firmware != next.Firmware || !maps.Equal(before.Ports, next.Ports)
	renew := before.Observe != next.Observe || before.UncertaintyPercent != next.UncertaintyPercent
	for _, s := range a.slots {
		if next.Observe && s.op != nil && s.op.task == applying {
			s.op.cancel()
		}
		if reopen {
			s.driver, s.tries, s.regular = nil, 0, now
		}
		if s.machine != nil {
			s.machine.stale = s.machine.stale || renew
			a.remember(s.machine)
		}
	}
}

// remember gives a machine what the operator kept for it, where it does not know better.
func (a *Agent) remember(m *machine) {
	prior, ok := a.assignment.PriorSettings[m.key]
	if !ok || m.device.Prior().Kind != fit.Sleep {
		return
	}
	setting, err := decodePrior(prior)
	if err != nil {
		a.cfg.Log.Error(err, "Ignoring a remembered setting", "device", m.key)
		return
	}
	m.device.SetPrior(setting)
}

// found puts the machine that answered at s in its place: the one known there, one that moved, or a new
// one.
func (a *Agent) found(now time.Duration, s *slot, driver miner.Driver, id miner.Identity) {
	s.driver, s.tries, s.identify, s.regular = driver, 0, false, now
	s.looking = failure{}
	key := a.keyAt(now, s, keyOf(id, s.addr))
	if s.machine == nil || s.machine.key != key {
		a.settle(now, s, key)
	}
	m := s.machine
	m.identity, m.traits, m.met = id, traitsOf(driver.Capabilities()), now
	m.device.Learn(m.traits)
}

// keyAt tells two machines of one identity, or one at two addresses, from each other: both count. The second
// stays the second for as long as it answers where it was met, also when the first does not: else what either
// was told would count for the other.
func (a *Agent) keyAt(now time.Duration, s *slot, key string) string {
	second := key + "@" + s.addr.String()
	if s.machine != nil && s.machine.key == second {
		return second
	}
	if other := a.keys[key]; other != nil && other != s && !other.machine.lost(now) {
		return second
	}
	return key
}

// settle makes the machine of that key the slot's. What was there before is forgotten: its watts count
// as unfound with the operator (L4) from the next lease on, until it is met again.
func (a *Agent) settle(now time.Duration, s *slot, key string) {
	if s.machine != nil {
		a.forget(now, s.machine)
	}
	if other := a.keys[key]; other != nil && other != s {
		s.machine, other.machine, other.driver = other.machine, nil, nil
		s.machine.device.Moved() // it may be another of the same name
		a.cfg.Log.Info("A machine moved", "device", key, "from", other.addr.String(), "to", s.addr.String())
	} else {
		s.machine = a.newMachine(key)
		a.cfg.Log.V(1).Info("Found a machine", "device", key, "address", s.addr.String())
	}
	a.keys[key] = s
}

func (a *Agent) newMachine(key string) *machine {
	m := &machine{key: key, device: fit.NewDevice(key, a.assignment.UncertaintyPercent, a.assignment.Observe)}
	a.remember(m)
	return m
}

// lost says that a machine has not answered for so long that it may be elsewhere. One that said who it is has
// answered, though its first look is yet to come.
func (m *machine) lost(now time.Duration) bool {
	return m.missed > 0 && now-max(m.last.At, m.met) > 2*fit.Poll
}

// renew replaces a machine's device under a changed assignment at a reading: not before, or it would
// count as rated while nothing is known of it, and not while a write is settling.
func (a *Agent) renew(m *machine) {
	if !m.stale || len(m.marks) > 0 {
		return
	}
	m.device = m.device.Again(a.assignment.UncertaintyPercent, a.assignment.Observe)
	m.stale = false
}
