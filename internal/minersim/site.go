package minersim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
)

// Site puts a fleet on the network: a listener for each port of each device, opened and closed as personas
// have it.
type Site struct {
	Fleet     *Fleet
	endpoints map[*Device]*endpoint
	log       logr.Logger
	ready     bool
	mu        sync.Mutex
}

// endpoint is one device's place on the network.
type endpoint struct {
	device *Device
	front  Front

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[net.Conn]struct{}
	random    *rand.Rand // for weak machines
}

// NewSite prepares a site; nothing listens yet.
func NewSite(f *Fleet, fronts map[string]Front, log logr.Logger) *Site {
	s := &Site{Fleet: f, endpoints: make(map[*Device]*endpoint, len(f.Devices)), log: log}
	for _, d := range f.Devices {
		s.endpoints[d] = &endpoint{
			device: d, front: fronts[d.Firmware], conns: map[net.Conn]struct{}{},
			random: rand.New(rand.NewPCG(0, keyOf(d.Serial))),
		}
		d.noticed = func(n int) {
			log.Info("rebooted by itself", "address", d.Address.Addr(), "group", d.Group, "reboots", n)
		}
	}
	return s
}

// Open starts every listener but those of dark devices.
func (s *Site) Open(ctx context.Context) error {
	for _, d := range s.Fleet.Devices {
		if err := ctx.Err(); err != nil {
			return err
		}
		if personaOf(d) == Dark {
			continue
		}
		if err := s.endpoints[d].open(); err != nil {
			s.Close()
			return err
		}
	}
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	return nil
}

// Ready tells whether every listener that should be open is.
func (s *Site) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// Close stops every listener and connection.
func (s *Site) Close() {
	s.mu.Lock()
	s.ready = false
	s.mu.Unlock()
	for _, e := range s.endpoints {
		e.close()
	}
}

func personaOf(d *Device) (p Persona) {
	d.Do(func(m *Machine) { p = m.Persona() })
	return p
}

// Change is what a request did to one device.
type Change struct {
	Address string  `json:"address"`
	Group   string  `json:"group"`
	From    Persona `json:"from"`
	To      Persona `json:"to"`
}

// SetPersona gives the selected devices a persona. With a count it takes good ones, or, back to
// good, those that are not.
func (s *Site) SetPersona(sel Selector, p Persona) ([]Change, error) {
	devices, err := s.Fleet.Select(sel, func(d *Device) bool { return (personaOf(d) == Good) != (p == Good) })
	if err != nil {
		return nil, err
	}
	changes := make([]Change, 0, len(devices))
	for _, d := range devices {
		change := Change{Address: d.Address.Addr().String(), Group: d.Group, To: p}
		d.Do(func(m *Machine) {
			change.From = m.Persona()
			if p != change.From {
				m.SetPersona(p)
			}
		})
		if change.From == p {
			continue
		}
		changes = append(changes, change)
		if err := s.endpoints[d].follow(p); err != nil {
			return changes, fmt.Errorf("persona %s for %s: %w", p, change.Address, err)
		}
		s.log.Info("persona changed", "address", change.Address, "group", d.Group, "from", change.From, "to", p)
	}
	return changes, nil
}

// Reboot restarts the selected devices, as if by hand, and returns their addresses.
func (s *Site) Reboot(sel Selector) ([]string, error) {
	devices, err := s.Fleet.Select(sel, (*Device).Reachable)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(devices))
	for _, d := range devices {
		d.Do(func(m *Machine) { m.Reboot(false) })
		s.endpoints[d].drop()
		out = append(out, d.Address.Addr().String())
		s.log.Info("rebooted", "address", d.Address.Addr(), "group", d.Group)
	}
	return out, nil
}

// follow opens or closes the listeners as the persona has it.
func (e *endpoint) follow(p Persona) error {
	if p == Dark {
		e.close()
		return nil
	}
	return e.open()
}

func (e *endpoint) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.listeners) > 0 {
		return nil
	}
	if err := e.listen(e.device.Address, e.device.Firmware, e.front.Serve); err != nil {
		return err
	}
	for i, door := range DoorsIn(e.front, e.device.FirmwareVersion) {
		if err := e.listen(e.device.Doors[i], e.device.Firmware+"."+door.Name, door.Serve); err != nil {
			e.shut()
			return err
		}
	}
	return nil
}

// listen opens one port, which a group's ports know by name.
func (e *endpoint) listen(at netip.AddrPort, name string, serve func(*Device, net.Conn)) error {
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return listenError(e.device.Group, at, "the group's ports."+name, err)
	}
	e.listeners = append(e.listeners, l)
	go e.accept(l, serve)
	return nil
}

// shut closes every listener there is; the endpoint is locked.
func (e *endpoint) shut() {
	for _, l := range e.listeners {
		_ = l.Close()
	}
	e.listeners = nil
}

// listenError says what to do about it.
func listenError(group string, at netip.AddrPort, port string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("group %q: %s is already taken: stop what listens there or set %s", group, at, port)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("group %q: no privilege to listen at %s: run as root or set %s to a port above 1023", group, at, port)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("group %q: out of file descriptors at %s: raise the limit (ulimit -Hn) or serve fewer miners", group, at)
	default:
		return fmt.Errorf("group %q: %w", group, err)
	}
}

func (e *endpoint) close() {
	e.mu.Lock()
	e.shut()
	e.mu.Unlock()
	e.drop()
}

// drop resets the connections there are.
func (e *endpoint) drop() {
	e.mu.Lock()
	conns := e.conns
	e.conns = map[net.Conn]struct{}{}
	e.mu.Unlock()
	for c := range conns {
		reset(c)
	}
}

// acceptRetry is the pause after an accept that failed for want of descriptors.
const acceptRetry = 50 * time.Millisecond

func (e *endpoint) accept(l net.Listener, serve func(*Device, net.Conn)) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			<-e.device.Clock().After(acceptRetry)
			continue
		}
		if !e.device.Reachable() {
			reset(c)
			continue
		}
		t := &tracked{Conn: c, endpoint: e, left: e.lasts()}
		if t.left == 0 {
			reset(c)
			continue
		}
		if !e.track(l, t) {
			reset(c)
			return
		}
		go serve(e.device, t)
	}
}

// track remembers a connection; false when the listener closed meanwhile.
func (e *endpoint) track(l net.Listener, c net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Contains(e.listeners, l) {
		return false
	}
	e.conns[c] = struct{}{}
	return true
}

// weakBytes bounds what a weak machine sends on a connection that it drops.
const weakBytes = 600

// lasts is how many bytes the machine sends before it drops a new connection: all of them, but where it is weak.
// Then of four connections one is dropped at once and one on the way (assumed).
func (e *endpoint) lasts() int {
	if personaOf(e.device) != Weak {
		return math.MaxInt
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.random.IntN(4) {
	case 0:
		return 0
	case 1:
		return 1 + e.random.IntN(weakBytes)
	}
	return math.MaxInt
}

// tracked is a connection its endpoint can cut.
type tracked struct {
	net.Conn
	endpoint *endpoint
	left     int // bytes that may still be sent; one goroutine writes
}

// Write sends what the machine lasts for, and drops the connection there.
func (t *tracked) Write(p []byte) (int, error) {
	if len(p) <= t.left {
		t.left -= len(p)
		return t.Conn.Write(p)
	}
	n, _ := t.Conn.Write(p[:t.left])
	t.left = 0
	reset(t)
	return n, net.ErrClosed
}

// Close forgets the connection.
func (t *tracked) Close() error {
	t.endpoint.mu.Lock()
	delete(t.endpoint.conns, t)
	t.endpoint.mu.Unlock()
	return t.Conn.Close()
}

// reset ends a connection the way a machine without power does: no goodbye.
func reset(c net.Conn) {
	if veiled, ok := c.(*tls.Conn); ok {
		c = veiled.NetConn()
	}
	raw := c
	if t, ok := c.(*tracked); ok {
		raw = t.Conn
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// Reset cuts a connection a front was given, as a machine that lost power would.
func Reset(c net.Conn) { reset(c) }
