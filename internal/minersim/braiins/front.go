package braiins

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// Front serves the REST interface of every Braiins machine of a fleet, and what older ones have instead.
type Front struct {
	server, older *overhttp.Server
	calls         *calls
}

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{}
	f.server = overhttp.Start(f.routes())
	f.older = overhttp.Start(olderPages())
	f.calls = startCalls()
	return f
}

// Versions are those whose replies are known; the second is the last without the REST interface.
func (*Front) Versions() []string { return []string{"26.04", olderRelease} }

// Doors are the RPC of the mining program and gRPC, which clients of others read beside REST or in its place.
func (f *Front) Doors() []minersim.Door {
	return []minersim.Door{{Name: "rpc", Port: rpcPort, Serve: serveRPC}, {Name: "grpc", Port: grpcPort, Serve: f.calls.Serve}}
}

// Port is HTTP's own.
func (*Front) Port() uint16 { return 80 }

// ResidualWatts of a paused machine: tens of watts, fans included (unverified).
func (*Front) ResidualWatts() float64 { return 40 }

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s)
	if d.FirmwareVersion == olderRelease {
		st.password, st.passwordless = d.Password, d.Password == "" // none, as it comes
		older := &olderState{state: st, sessions: map[string]bool{}}
		return older, st.order(0)
	}
	return st, st.order(0)
}

// Serve hands a connection to the server.
func (f *Front) Serve(d *minersim.Device, c net.Conn) {
	if d.FirmwareVersion == olderRelease {
		f.older.Serve(d, c)
		return
	}
	f.server.Serve(d, c)
}

// Close ends the front and its connections.
func (f *Front) Close() error {
	f.calls.server.Stop()
	return errors.Join(f.server.Close(), f.older.Close())
}

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m    *minersim.Machine
	body []byte
	now  time.Time
	d    *minersim.Device
}

// failure is a status other than 200.
type failure struct {
	status  int
	message string
}

func (f failure) Error() string { return f.message }

// noContent is the answer of calls without a body.
type noContent struct{}

var errUnreachable = errors.New("the machine is off the network")

// do answers a request by running f under the device's lock. Writes are held back as the
// device's persona has it.
func (f *Front) do(w http.ResponseWriter, r *http.Request, open bool, act func(*call) (any, error)) {
	d := overhttp.Device(r)
	body, err := overhttp.Body(w, r)
	if err != nil {
		answer(w, nil, failure{http.StatusBadRequest, err.Error()})
		return
	}
	var out any
	d.Do(func(m *minersim.Machine) {
		st := d.Memory().(*state)
		if err = st.admits(m, r, open); err == nil {
			out, err = act(&call{state: st, m: m, body: body, now: d.Clock().Now(), d: d})
		}
	})
	lost := errors.Is(err, errUnreachable)
	if !lost && r.Method != http.MethodGet {
		d.Hold(r.Context().Done())
		lost = !d.Reachable() && out != (noContent{})
	}
	if lost {
		overhttp.HangUp(w)
		return
	}
	answer(w, out, err)
}

// admits says why a request is not answered. A write of one master is followed by another's, where there is one.
func (st *state) admits(m *minersim.Machine, r *http.Request, open bool) error {
	switch {
	case !m.Reachable():
		return errUnreachable
	case !open && !st.authorized(r.Header.Get("Authorization"), m.Now()):
		return failure{http.StatusUnauthorized, "Unauthorized"}
	case !open && r.Method != http.MethodGet:
		st.contest(m)
	}
	return nil
}

func answer(w http.ResponseWriter, out any, err error) {
	var f failure
	switch {
	case errors.As(err, &f):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": f.message})
	case out == noContent{}:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}
}

var (
	_ minersim.Versioned = (*Front)(nil)
	_ minersim.Doored    = (*Front)(nil)
)
