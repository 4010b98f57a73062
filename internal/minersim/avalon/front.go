package avalon

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Front serves port 4028 of Avalon machines.
type Front struct{}

// New makes a front; it holds nothing to close.
func New() *Front { return &Front{} }

// Port is that of the whole cgminer family.
func (*Front) Port() uint16 { return 4028 }

// typicalResidual is what the residual watts of the models are measured against.
const typicalResidual = 12

// ResidualWatts asleep: 11 W were read of an A1346 and 17 W of a Q.
func (*Front) ResidualWatts() float64 { return typicalResidual }

// Adopt gives a device its firmware.
func (*Front) Adopt(_ *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(t, s)
	if st.power != on {
		return st, minersim.Order{}
	}
	return st, minersim.Order{Watts: st.watts()}
}

const (
	// maxRequest bounds one request, as cgminer does.
	maxRequest = 8 << 10
	// patience is how long a connection may stay silent (assumed).
	patience = 10 * time.Second
)

// Serve answers the one command of a connection and closes it. A machine hears one connection at
// a time; the others wait, as the vendor says that they must.
func (*Front) Serve(d *minersim.Device, c net.Conn) {
	defer func() { _ = c.Close() }()
	raw := hear(d.Memory().(*state), c)
	if len(raw) == 0 {
		return
	}
	out, held, reachable := answer(d, raw)
	if !reachable {
		minersim.Reset(c)
		return
	}
	if held {
		_ = c.SetDeadline(time.Time{})
		d.Hold(nil)
	}
	_ = c.SetDeadline(minersim.Wall{}.Now().Add(patience))
	if out != nil {
		_, _ = c.Write(append(out, 0))
	}
}

// hear reads a command while nobody else is heard.
func hear(st *state, c net.Conn) []byte {
	st.line.Lock()
	defer st.line.Unlock()
	// The deadline guards a real socket: real time, whatever clock the physics runs on.
	_ = c.SetDeadline(minersim.Wall{}.Now().Add(patience))
	return read(c)
}

// read takes what comes first for the whole command, but JSON that is not whole yet: a command as
// text has no end of its own, and clients keep the connection open behind it.
func read(c io.Reader) []byte {
	raw := make([]byte, 0, 1024)
	for len(raw) < maxRequest {
		n, err := c.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if err != nil || n > 0 && whole(raw) {
			return raw
		}
		if len(raw) == cap(raw) {
			raw = append(make([]byte, 0, 2*cap(raw)), raw...)
		}
	}
	return raw
}

func whole(raw []byte) bool {
	return raw[0] != '{' || raw[len(raw)-1] == 0 || json.Valid(raw)
}

// answer runs a request under the device's lock; nil is silence. held tells that it was a write,
// whose reply the persona may hold back.
func answer(d *minersim.Device, raw []byte) (out []byte, held, reachable bool) {
	q, wrong := parse(raw)
	d.Do(func(m *minersim.Machine) {
		if reachable = m.Reachable(); !reachable {
			return
		}
		c := &call{state: d.Memory().(*state), m: m, d: d, now: d.Clock().Now()}
		c.settle(m)
		switch {
		case wrong == codeBadJSON:
			out = write(c.fail(wrong, "Invalid JSON"), q.json)
		case wrong != 0:
			out = write(c.fail(wrong, "Missing JSON 'command'"), q.json)
		case q.json && strings.Contains(q.command, "+"):
			out = c.joined(q.command)
		default:
			r := c.run(q)
			out, held = write(r, q.json), q.command == "ascset" || q.command == "restart"
		}
	})
	return out, held, reachable
}

func write(r reply, asJSON bool) []byte {
	switch {
	case r.silence:
		return nil
	case asJSON:
		return []byte(r.object(true))
	default:
		return r.text()
	}
}
