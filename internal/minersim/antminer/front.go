package antminer

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// Front serves the pages and ports of every Antminer of a fleet.
type Front struct {
	pages, power *overhttp.Server
	digest       *overhttp.Digest
}

// realm is what clients know these machines by.
const realm = "antMiner Configuration"

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{digest: overhttp.NewDigest(realm, "")}
	f.pages = overhttp.Start(http.HandlerFunc(f.page))
	f.power = overhttp.Start(http.HandlerFunc(power))
	return f
}

// Port is HTTP's own.
func (*Front) Port() uint16 { return 80 }

// Doors are the ports beside it: that of the whole cgminer family, and the mining software's own.
func (f *Front) Doors() []minersim.Door {
	return []minersim.Door{
		{Name: "rpc", Port: 4028, Serve: serveRPC},
		{Name: "power", Port: 6060, Serve: f.power.Serve},
	}
}

// ResidualWatts asleep: 10 to 30 W and fans (unverified).
func (*Front) ResidualWatts() float64 { return 30 }

// Versions are the generations, by the month they were built.
func (*Front) Versions() []string {
	names := make([]string, len(generations))
	for i, g := range generations {
		names[i] = g.name
	}
	return names
}

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s)
	return st, minersim.Order{Watts: st.watts()}
}

// Serve hands a connection to the server of the pages.
func (f *Front) Serve(d *minersim.Device, c net.Conn) { f.pages.Serve(d, c) }

// Close ends the front and its connections.
func (f *Front) Close() error { return errors.Join(f.pages.Close(), f.power.Close()) }

// object is a JSON object.
type object = map[string]any

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m    *minersim.Machine
	d    *minersim.Device
	now  time.Time
	body []byte
	// held tells that the reply is one to a command, which a persona may hold back; slow that the
	// firmware itself takes its time.
	held, slow bool
	// queue is how long the firmware keeps a command waiting that it then passes over.
	queue time.Duration
}

// do runs act under the device's lock; it tells whether the machine is on the network.
func do(d *minersim.Device, body []byte, act func(*call)) (c *call, reachable bool) {
	d.Do(func(m *minersim.Machine) {
		c = &call{state: d.Memory().(*state), m: m, d: d, now: d.Clock().Now(), body: body}
		if reachable = m.Reachable(); reachable {
			act(c)
		}
	})
	return c, reachable
}

// page answers one request for a page: first who asks, then what.
func (f *Front) page(w http.ResponseWriter, r *http.Request) {
	d := overhttp.Device(r)
	var who overhttp.Account
	c, reachable := do(d, nil, func(c *call) { who = c.settings.account })
	if !reachable {
		overhttp.HangUp(w)
		return
	}
	if !f.digest.Allows(w, r, who, c.now) {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "413 Payload Too Large", http.StatusRequestEntityTooLarge)
		return
	}
	var out any
	c, reachable = do(d, body, func(c *call) { out = c.look(r.Method, r.URL.Path) })
	if reachable && c.held {
		waitReply(c, r)
	}
	if !reachable {
		overhttp.HangUp(w)
		return
	}
	answer(w, out)
}

// maxBody bounds what a client may send.
const maxBody = 64 << 10

// waitReply holds a reply back for as long as the firmware takes, and the persona.
func waitReply(c *call, r *http.Request) {
	wait := c.queue
	if c.slow {
		wait = c.wait
	}
	if wait > 0 {
		select {
		case <-c.d.Clock().After(wait):
		case <-r.Context().Done():
			return
		}
	}
	c.d.Hold(r.Context().Done())
}

// text is a reply that is no JSON; a status is one without a body.
type (
	text   string
	status int
)

// padded JSON comes after two empty lines, as recorded from the older pages.
type padded struct{ object }

func answer(w http.ResponseWriter, out any) {
	switch o := out.(type) {
	case status:
		http.Error(w, http.StatusText(int(o)), int(o))
	case text:
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, string(o))
	case padded:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "\n\n")
		_ = json.NewEncoder(w).Encode(o.object)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}
}

// power answers on port 6060, in plain text and without a password.
func power(w http.ResponseWriter, r *http.Request) {
	var out any
	c, reachable := do(overhttp.Device(r), nil, func(c *call) { out = c.powerPage(r.URL.Path) })
	if !reachable || c.form || out == nil {
		overhttp.HangUp(w)
		return
	}
	answer(w, out)
}

var (
	_ minersim.Versioned = (*Front)(nil)
	_ minersim.Doored    = (*Front)(nil)
)
