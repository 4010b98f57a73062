package minersim

import (
	"net/netip"
	"sync"
	"time"
)

// Device is one miner of a fleet: its physics, its firmware and its place.
type Device struct {
	// Address is where the device answers.
	Address netip.AddrPort
	// Doors are where it answers too, in the order of its front's.
	Doors []netip.AddrPort
	// Group and Budget are the fleet file's names for what it belongs to.
	Group, Budget string
	// Firmware names the protocol front.
	Firmware string
	// FirmwareVersion is the front's, where it speaks for several.
	FirmwareVersion string
	// Serial and MAC identify the hardware, over reboots and fronts.
	Serial, MAC string
	// Username and Password are what the front asks for, where it asks at all.
	Username, Password string

	mu      sync.Mutex
	clock   Clock
	epoch   time.Time
	machine *Machine
	// noticed is told of reboots nobody asked for.
	noticed func(reboots int)
}

// Do runs f on the machine, advanced to now. Firmware state that f touches is guarded by the
// same lock, so that a command and its effect are one step.
func (d *Device) Do(f func(m *Machine)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.machine.Reboots()
	d.machine.Advance(d.clock.Now().Sub(d.epoch))
	if n := d.machine.Reboots(); n != before && d.noticed != nil {
		d.noticed(n)
	}
	f(d.machine)
}

// Clock is the clock the device lives on.
func (d *Device) Clock() Clock { return d.clock }

// Memory is the device's firmware state; touch it inside Do only.
func (d *Device) Memory() Memory { return d.machine.memory }

// Truth is what a device really does.
type Truth struct {
	Address    string  `json:"address"`
	Port       uint16  `json:"port"`
	Group      string  `json:"group"`
	Budget     string  `json:"budget"`
	Model      string  `json:"model"`
	Firmware   string  `json:"firmware"`
	Persona    Persona `json:"persona"`
	State      State   `json:"state"`
	Watts      float64 `json:"watts"`
	TeraHashes float64 `json:"terahashes"`
	Reboots    int     `json:"reboots"`
}

// Truth reads the device as physics knows it.
func (d *Device) Truth() Truth {
	t := Truth{
		Address: d.Address.Addr().String(), Port: d.Address.Port(),
		Group: d.Group, Budget: d.Budget, Firmware: d.Firmware,
	}
	d.Do(func(m *Machine) {
		t.Model, t.Persona, t.State = m.Model.Name, m.Persona(), m.State()
		t.Watts, t.TeraHashes, t.Reboots = tenth(m.Watts()), thousandth(m.TeraHashes()), m.Reboots()
	})
	return t
}

// Watts is the true draw now.
func (d *Device) Watts() (w float64) {
	d.Do(func(m *Machine) { w = m.Watts() })
	return w
}

// Reachable tells whether the device answers now.
func (d *Device) Reachable() (ok bool) {
	d.Do(func(m *Machine) { ok = m.Reachable() })
	return ok
}

// Hold waits as long as the device's persona holds back replies to commands, or until done.
func (d *Device) Hold(done <-chan struct{}) {
	var wait time.Duration
	d.Do(func(m *Machine) { wait = m.ReplyDelay() })
	if wait <= 0 {
		return
	}
	select {
	case <-d.clock.After(wait):
	case <-done:
	}
}
