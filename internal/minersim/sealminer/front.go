package sealminer

import (
	"errors"
	"net"
	"net/http"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

// Front serves both interfaces of every SealMiner of a fleet.
type Front struct {
	web *overhttp.Server
}

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{}
	f.web = overhttp.Start(http.HandlerFunc(f.do))
	return f
}

// Port is that of the RPC.
func (*Front) Port() uint16 { return 4028 }

// Doors has the pages.
func (f *Front) Doors() []minersim.Door {
	return []minersim.Door{{Name: "web", Port: 80, Serve: f.web.Serve}}
}

// ResidualWatts of a suspended machine: tens of watts, fans included (unverified).
func (*Front) ResidualWatts() float64 { return 45 }

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s)
	if st.suspended {
		return st, minersim.Order{}
	}
	return st, minersim.Order{Watts: st.watts()}
}

// Close ends the front and its connections.
func (f *Front) Close() error { return f.web.Close() }

// object is a JSON object.
type object = map[string]any

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m *minersim.Machine
	d *minersim.Device
}

// description is what every reply of the RPC says of itself.
const description = "bdminer 4.11.1"

// Codes of the RPC. Those of the family are known, the others assumed.
const (
	codeSet    = 119
	codeNotSet = 120
	codePools  = 121
	codeReboot = 122
)

var errUnreachable = errors.New("the machine is off the network")

func (c *call) status(letter string, code int, message string) object {
	return object{"STATUS": overrpc.Status(c.d, letter, code, message, description), "id": 1}
}

// ok is a success with one section of data.
func (c *call) ok(code int, message, section string, data any) object {
	o := c.status("S", code, message)
	o[section] = data
	return o
}

// Serve answers the RPC, which is not there until the mining software is.
func (*Front) Serve(d *minersim.Device, conn net.Conn) {
	down := false
	d.Do(func(m *minersim.Machine) {
		st := d.Memory().(*state)
		st.settle(m)
		down = !st.answers(m.Now())
	})
	if down {
		minersim.Reset(conn)
		return
	}
	overrpc.Serve(d, conn, description, func(m *minersim.Machine, q overrpc.Request) (any, bool) {
		c := &call{state: d.Memory().(*state), m: m, d: d}
		c.settle(m)
		if read, ok := reads[q.Command]; ok {
			return read(c), false
		}
		if write, ok := writes[q.Command]; ok && !q.Joined {
			c.contest(m)
			return write(c, q.Parameter), true
		}
		return c.status("E", overrpc.CodeInvalidCommand, "Invalid command"), false
	})
}

var _ minersim.Doored = (*Front)(nil)
