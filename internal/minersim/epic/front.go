package epic

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// Front serves the interface of every ePIC machine of a fleet, and the page at port 80 that tells
// discovery what it has found.
type Front struct {
	api, page *overhttp.Server
}

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{}
	f.api, f.page = overhttp.Start(http.HandlerFunc(f.do)), overhttp.Start(http.HandlerFunc(dashboard))
	return f
}

// Port is that of the cgminer family, though it is HTTP that is spoken there.
func (*Front) Port() uint16 { return 4028 }

// Doors has the dashboard.
func (f *Front) Doors() []minersim.Door {
	return []minersim.Door{{Name: "web", Port: 80, Serve: f.page.Serve}}
}

// ResidualWatts of an idling machine: tens of watts, fans included (unverified).
func (*Front) ResidualWatts() float64 { return 45 }

// Versions are those whose schema or replies are public. They differ in the algorithm that holds
// watts: the last has none.
func (*Front) Versions() []string { return []string{newest, "1.30.0", oldest} }

const (
	newest = "1.38.3"
	oldest = "1.5.13"
)

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s)
	if st.stopped {
		return st, minersim.Order{}
	}
	return st, minersim.Order{Watts: st.watts()}
}

// Serve hands a connection to the server.
func (f *Front) Serve(d *minersim.Device, c net.Conn) { f.api.Serve(d, c) }

// Close ends the front and its connections.
func (f *Front) Close() error { return errors.Join(f.api.Close(), f.page.Close()) }

// object is a JSON object.
type object = map[string]any

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m     *minersim.Machine
	d     *minersim.Device
	param json.RawMessage
}

// refusal is an error as the vendor's schema lists them: a word, or an object of one.
type refusal struct {
	status int
	reason any
}

func (r refusal) Error() string { return "refused" }

// no refuses with 200, as the schema has it for everything that a command may meet.
func no(reason any) error { return refusal{http.StatusOK, reason} }

// unknown refuses what no word is known for (assumed).
func unknown() error { return no(object{"UnknownError": "invalid param"}) }

// read takes the parameter, which must be there.
func (c *call) read(v any) error {
	if len(c.param) == 0 || string(c.param) == "null" {
		return no("MissingParam")
	}
	if err := json.Unmarshal(c.param, v); err != nil {
		return unknown()
	}
	return nil
}

// text is a reply that is no JSON.
type text string

var errUnreachable = errors.New("the machine is off the network")

// do answers a request under the device's lock.
func (f *Front) do(w http.ResponseWriter, r *http.Request) {
	d := overhttp.Device(r)
	path := strings.Trim(r.URL.Path, "/")
	body, err := overhttp.Body(w, r)
	if err != nil {
		answer(w, nil, refusal{http.StatusBadRequest, object{"UnknownError": "invalid body"}})
		return
	}
	var out any
	held := false
	d.Do(func(m *minersim.Machine) {
		if !m.Reachable() {
			err = errUnreachable
			return
		}
		c := &call{state: d.Memory().(*state), m: m, d: d}
		c.settle(m)
		if r.Method == http.MethodPost {
			held, err = c.command(path, body)
			out = object{"result": true, "error": nil}
			return
		}
		out, err = c.look(r.Method, path)
	})
	if held && err == nil {
		d.Hold(r.Context().Done())
	}
	if errors.Is(err, errUnreachable) {
		overhttp.HangUp(w)
		return
	}
	answer(w, out, err)
}

// look runs a read; all of them are open.
func (c *call) look(method, path string) (any, error) {
	read, ok := reads[path]
	switch _, command := commands[path]; {
	case method != http.MethodGet, command && !ok:
		return nil, refusal{http.StatusMethodNotAllowed, object{"InvalidMethod": method}}
	case !ok:
		return nil, refusal{http.StatusNotFound, object{"InvalidUrl": "/" + path}}
	}
	return read(c), nil
}

// command runs a command, if the password is right. held tells that it changes what the machine
// does, so that a persona may hold back its reply.
func (c *call) command(path string, body []byte) (held bool, err error) {
	run, ok := commands[path]
	if !ok {
		return false, refusal{http.StatusNotFound, object{"InvalidUrl": "/" + path}}
	}
	var q struct {
		Param    json.RawMessage `json:"param"`
		Password *string         `json:"password"`
	}
	if json.Unmarshal(body, &q) != nil || q.Password == nil || *q.Password != c.password {
		return false, no("BadPassword")
	}
	if run.held && c.m.Busy() {
		// What another client told it is not done yet.
		return false, no(object{"LastCmdStillPending": "Tune"})
	}
	c.param = q.Param
	return run.held, run.act(c)
}

func answer(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if r, refused := errors.AsType[refusal](err); refused {
		status, out = r.status, object{"result": false, "error": r.reason}
	}
	if t, ok := out.(text); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(t))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}

// page is all that is left of the dashboard: what discovery looks for.
const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Miner Web Dashboard</title></head>` +
	`<body><div id="root"></div></body></html>
`

func dashboard(w http.ResponseWriter, r *http.Request) {
	switch {
	case !overhttp.Device(r).Reachable():
		overhttp.HangUp(w)
	case r.URL.Path != "/":
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	}
}

var (
	_ minersim.Versioned = (*Front)(nil)
	_ minersim.Doored    = (*Front)(nil)
)
