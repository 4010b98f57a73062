package vnish

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// Front serves the REST interface of every VNish machine of a fleet.
type Front struct {
	server *overhttp.Server
	// presets by model name, one list for all its machines.
	presets sync.Map
}

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{}
	f.server = overhttp.Start(f.routes())
	return f
}

// Port is HTTP's own.
func (*Front) Port() uint16 { return 80 }

// ResidualWatts of a stopped machine: tens of watts, fans included (unverified).
func (*Front) ResidualWatts() float64 { return 40 }

// Versions are one of each generation whose schema and replies are public, and the one before.
func (*Front) Versions() []string { return []string{"1.2.7", firstRelease, "1.3.4"} }

// firstRelease is the oldest that is known.
const firstRelease = "1.2.6"

// Adopt gives a device its firmware.
func (f *Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	list, ok := f.presets.Load(t.Model.Name)
	if !ok {
		list, _ = f.presets.LoadOrStore(t.Model.Name, presetsOf(t.Model))
	}
	st := newState(d, t, s, list.([]preset))
	if st.mode == off {
		return st, minersim.Order{}
	}
	return st, st.hashing(minersim.Order{})
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
	// allowed tells that the request carried a key or a living token, which some reads show.
	allowed bool
}

// parse reads the body into v or fails with 400, the vendor's word for what is not JSON here
// being unknown.
func (c *call) parse(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return refusal{http.StatusBadRequest, object{"err": "invalid body"}}
	}
	return nil
}

// refusal is a status other than 200; without a body where there is nothing to say.
type refusal struct {
	status int
	body   object
}

func (r refusal) Error() string { return http.StatusText(r.status) }

// empty is a success without a body, html one that is no JSON.
type (
	empty struct{}
	html  string
)

var errUnreachable = errors.New("the machine is off the network")

// route is one path.
type route struct {
	act func(*call) (any, error)
	// open needs no key or token.
	open bool
	// held replies are those of commands to the machine, which a persona may hold back.
	held bool
	// only tells which generation has it: "1.2", "1.3" or both.
	only string
}

// do answers a request by running the route under the device's lock.
func (f *Front) do(w http.ResponseWriter, r *http.Request, to route) {
	d := overhttp.Device(r)
	body, err := overhttp.Body(w, r)
	if err != nil {
		answer(w, nil, refusal{http.StatusBadRequest, object{"err": "invalid body"}})
		return
	}
	var out any
	d.Do(func(m *minersim.Machine) {
		c := &call{state: d.Memory().(*state), m: m, d: d, now: d.Clock().Now(), body: body}
		if !m.Reachable() {
			err = errUnreachable
			return
		}
		c.state.m = m
		c.settle(m.Now())
		c.allowed = c.allows(r, m.Now())
		switch {
		case !strings.HasPrefix(c.version, to.only):
			err = refusal{status: http.StatusNotFound}
		case !to.open && !c.allowed:
			err = refusal{status: http.StatusUnauthorized}
		default:
			out, err = to.act(c)
		}
	})
	if to.held && err == nil {
		d.Hold(r.Context().Done())
	}
	if errors.Is(err, errUnreachable) {
		overhttp.HangUp(w)
		return
	}
	answer(w, out, err)
}

func answer(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if no, refused := errors.AsType[refusal](err); refused {
		status, out = no.status, no.body
		if no.body == nil {
			out = empty{}
		}
	}
	switch o := out.(type) {
	case html:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(o))
		return
	case empty:
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}
