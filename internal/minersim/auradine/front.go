package auradine

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
	"github.com/counterweight-dev/counterweight/internal/minersim/overrpc"
)

// Front serves both interfaces of every Auradine machine of a fleet.
type Front struct {
	server *overhttp.Server
}

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{}
	f.server = overhttp.Start(http.HandlerFunc(f.do))
	return f
}

// Port is that of REST.
func (*Front) Port() uint16 { return 8080 }

// Doors has the RPC.
func (f *Front) Doors() []minersim.Door {
	return []minersim.Door{{Name: "rpc", Port: 4028, Serve: f.serveRPC}}
}

// ResidualWatts in standby: 58.94 W into the supply and none out of it were recorded.
func (*Front) ResidualWatts() float64 { return 59 }

// Versions are the newest that replies are public of, and the one that most of them are of.
func (*Front) Versions() []string { return []string{newest, "2023-12.27"} }

const newest = "2.2.0"

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s)
	if st.sleeping {
		return st, minersim.Order{}
	}
	return st, minersim.Order{Watts: st.watts()}
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
	body []byte
}

// zeros stand for the commit that a release of 2023 names itself after.
const zeros = "0000000000000000000000000000000000000000"

// description is what a reply says of the software: since 2.0 the version and nothing else.
func (c *call) description(software string) string {
	if c.version == newest {
		return newest
	}
	return software + "-" + c.version + "-" + zeros
}

// ok is a success with one section of data.
func (c *call) ok(code int, message, section string, data any) object {
	o := object{"STATUS": overrpc.Status(c.d, "S", code, message, c.description("FluxOS")), "id": 1}
	if section != "" {
		o[section] = data
	}
	return o
}

// Codes of what fails; the first is the family's, the others are assumed.
const (
	codeInvalidCommand = overrpc.CodeInvalidCommand
	codeInvalidValue   = 15
	codeUnauthorized   = 601
)

// refusal is a failure.
type refusal struct {
	status, code int
	message      string
}

func (r refusal) Error() string { return r.message }

func invalid(message string) error { return refusal{http.StatusOK, codeInvalidValue, message} }

var (
	errUnreachable  = errors.New("the machine is off the network")
	errUnauthorized = refusal{http.StatusUnauthorized, codeUnauthorized, "Unauthorized: token is invalid or has expired"}
	errUnknown      = refusal{http.StatusNotFound, codeInvalidCommand, "Invalid command"}
)

// do answers a request under the device's lock.
func (f *Front) do(w http.ResponseWriter, r *http.Request) {
	d := overhttp.Device(r)
	body, err := overhttp.Body(w, r)
	if err != nil {
		body = []byte("nothing that could be parsed")
	}
	var out object
	held := false
	d.Do(func(m *minersim.Machine) {
		if !m.Reachable() {
			err = errUnreachable
			return
		}
		c := &call{state: d.Memory().(*state), m: m, d: d, body: body}
		c.settle(m)
		out, held, err = c.route(r)
		if no, refused := errors.AsType[refusal](err); refused {
			out = object{"STATUS": overrpc.Status(d, "E", no.code, no.message, c.description("FluxOS")), "id": 1}
		}
	})
	if errors.Is(err, errUnreachable) {
		overhttp.HangUp(w)
		return
	}
	if held && err == nil {
		d.Hold(r.Context().Done())
	}
	status := http.StatusOK
	if no, refused := errors.AsType[refusal](err); refused {
		status = no.status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}

// route finds what a request asks for. held tells that it changes what the machine does.
func (c *call) route(r *http.Request) (out object, held bool, err error) {
	name := strings.Trim(r.URL.Path, "/")
	if name == "token" && r.Method == http.MethodPost {
		out, err = c.login()
		return out, false, err
	}
	if !c.allows(r, c.m.Now()) {
		return nil, false, errUnauthorized
	}
	read, readable := reads[name]
	to, writable := writes[name]
	switch {
	case r.Method == http.MethodPost && writable:
		out, err = to.act(c)
		return out, to.held, err
	case r.Method == http.MethodGet && readable:
		return read(c), false, nil
	default:
		return nil, false, errUnknown
	}
}

// serveRPC answers reads only.
func (f *Front) serveRPC(d *minersim.Device, conn net.Conn) {
	overrpc.Serve(d, conn, "GCMiner", func(m *minersim.Machine, q overrpc.Request) (any, bool) {
		c := &call{state: d.Memory().(*state), m: m, d: d}
		c.settle(m)
		read, ok := rpcReads[q.Command]
		if !ok {
			return object{"STATUS": overrpc.Status(d, "E", codeInvalidCommand, "Invalid command", c.description("GCMiner")), "id": 1}, false
		}
		reply := read(c)
		reply["STATUS"].([]object)[0]["Description"] = c.description("GCMiner")
		return reply, false
	})
}

var (
	_ minersim.Versioned = (*Front)(nil)
	_ minersim.Doored    = (*Front)(nil)
)
