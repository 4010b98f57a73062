package proto

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// Front serves the interface of every machine of a fleet.
type Front struct {
	server *overhttp.Server
	secure *tls.Config
}

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{secure: &tls.Config{Certificates: []tls.Certificate{ownCertificate()}, MinVersion: tls.VersionTLS12}}
	f.server = overhttp.Start(f.routes())
	return f
}

// secureRelease speaks HTTPS and nothing else, at the port that a group gives; rigs have it at 443.
const secureRelease = release + "-https"

// Versions are the same interface without and with HTTPS.
func (*Front) Versions() []string { return []string{release, secureRelease} }

// Port is HTTP's own.
func (*Front) Port() uint16 { return 80 }

// typicalResidual is of a machine with typicalWatts: control board, fans at rest, three supplies
// (assumed).
const typicalResidual, typicalWatts = 90, 11550

// ResidualWatts of a stopped machine.
func (*Front) ResidualWatts() float64 { return typicalResidual }

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	t.ResidualWatts *= t.Model.Watts / typicalWatts
	st := newState(d, t, s)
	if st.stopped {
		return st, minersim.Order{}
	}
	return st, minersim.Order{Watts: float64(st.target)}
}

// Serve hands a connection to the server.
func (f *Front) Serve(d *minersim.Device, c net.Conn) {
	if d.FirmwareVersion == secureRelease {
		c = tls.Server(c, f.secure)
	}
	f.server.Serve(d, c)
}

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
	r    *http.Request
	body []byte
}

// parse reads the body into v or refuses.
func (c *call) parse(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return refusal{http.StatusBadRequest, "INVALID_REQUEST", "Invalid request body"}
	}
	return nil
}

// refusal is an error as the interface writes it.
type refusal struct {
	status        int
	code, message string
}

func (r refusal) Error() string { return r.message }

// accepted is a command that was taken and will be done; nothing is an answer without a body.
type (
	accepted string
	nothing  struct{}
	page     string
)

func message(text string) object { return object{"message": text} }

var errUnreachable = errors.New("the machine is off the network")

// route is one path.
type route struct {
	act func(*call) (any, error)
	// open needs no token.
	open bool
	// held replies are those of commands to the machine, which a persona may hold back.
	held bool
}

// do answers a request by running the route under the device's lock.
func (f *Front) do(w http.ResponseWriter, r *http.Request, to route) {
	d := overhttp.Device(r)
	body, broken := overhttp.Body(w, r)
	var out any
	var err error
	d.Do(func(m *minersim.Machine) {
		c := &call{state: d.Memory().(*state), m: m, d: d, now: d.Clock().Now(), r: r, body: body}
		if !m.Reachable() {
			err = errUnreachable
			return
		}
		c.settle(m)
		switch {
		case !to.open && !c.allows(r, c.now):
			err = refusal{http.StatusUnauthorized, "UNAUTHORIZED", "Missing or invalid bearer token"}
		case broken != nil:
			err = refusal{http.StatusBadRequest, "INVALID_REQUEST", "Invalid request body"}
		default:
			if to.held {
				c.contest(m)
			}
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
		status, out = no.status, object{"error": object{"code": no.code, "message": no.message}}
	}
	switch o := out.(type) {
	case page:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, string(o))
		return
	case nothing:
		w.WriteHeader(http.StatusNoContent)
		return
	case accepted:
		status, out = http.StatusAccepted, message(string(o))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out)
}

var _ minersim.Versioned = (*Front)(nil)
