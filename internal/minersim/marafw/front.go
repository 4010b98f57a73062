package marafw

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// Front serves the paths and the port of every MaraFW machine of a fleet.
type Front struct {
	server *overhttp.Server
	// digest and older are what releases ask with: a realm of their own, and that of the stock firmware.
	digest, older *overhttp.Digest
}

// olderVersion says its hash rate in TH/s and names no unit; the other says GH/s and names it.
const olderVersion = "1.0.3"

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{digest: overhttp.NewDigest("MaraFW", "MD5"), older: overhttp.NewDigest("antMiner Configuration", "MD5")}
	f.server = overhttp.Start(http.HandlerFunc(f.serve))
	return f
}

// Port is HTTP's own.
func (*Front) Port() uint16 { return 80 }

// Doors are the ports beside it: that of the whole cgminer family.
func (*Front) Doors() []minersim.Door {
	return []minersim.Door{{Name: "rpc", Port: 4028, Serve: serveRPC}}
}

// ResidualWatts asleep: 25 W were recorded, as an estimate.
func (*Front) ResidualWatts() float64 { return 25 }

// Versions are those whose replies are known.
func (*Front) Versions() []string { return []string{"3.1.4", olderVersion} }

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s)
	return st, minersim.Order{Watts: st.watts(st.mode)}
}

// Serve hands a connection to the server.
func (f *Front) Serve(d *minersim.Device, c net.Conn) { f.server.Serve(d, c) }

// Close ends the front and its connections.
func (f *Front) Close() error { return f.server.Close() }

// object is a JSON object.
type object = map[string]any

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m    *minersim.Machine
	d    *minersim.Device
	now  time.Time
	body []byte
	// held tells that the reply is one to a command, which a persona may hold back.
	held bool
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

// errUnknown is a path that is not there.
var errUnknown = errors.New("no such path")

// serve answers one request: first who asks, then what.
func (f *Front) serve(w http.ResponseWriter, r *http.Request) {
	d := overhttp.Device(r)
	var who overhttp.Account
	c, reachable := do(d, nil, func(c *call) { who = c.account })
	if !reachable {
		overhttp.HangUp(w)
		return
	}
	digest := f.digest
	if c.older {
		digest = f.older
	}
	if !digest.Allows(w, r, who, c.now) {
		return
	}
	body, err := overhttp.Body(w, r)
	if err != nil {
		answer(w, failure("invalid JSON"), nil)
		return
	}
	var out any
	c, reachable = do(d, body, func(c *call) { out, err = c.look(r) })
	if c.held {
		d.Hold(r.Context().Done())
	}
	if !reachable {
		overhttp.HangUp(w)
		return
	}
	answer(w, out, err)
}

func answer(w http.ResponseWriter, out any, err error) {
	if err != nil {
		http.Error(w, "404 Not Found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// failure and success are the replies to a write; both come with status 200.
func failure(why string) object { return object{"error": true, "msg": why} }

func success() object { return object{"error": false, "msg": "success"} }

var (
	_ minersim.Versioned = (*Front)(nil)
	_ minersim.Doored    = (*Front)(nil)
)
