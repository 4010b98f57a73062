package braiins

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Front serves the REST interface of every Braiins machine of a fleet with one HTTP server.
type Front struct {
	hub    *hub
	server *http.Server
}

// hub is the listener of the one server: it accepts the connections that Serve is given.
type hub struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{hub: &hub{conns: make(chan net.Conn), closed: make(chan struct{})}}
	f.server = &http.Server{
		Handler:           f.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       90 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, deviceKey{}, c.(*deviceConn).device)
		},
	}
	go func() { _ = f.server.Serve(f.hub) }()
	return f
}

// Port is HTTP's own.
func (*Front) Port() uint16 { return 80 }

// ResidualWatts of a paused machine: tens of watts, fans included (unverified).
func (*Front) ResidualWatts() float64 { return 40 }

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s)
	return st, st.order(0)
}

// Serve hands a connection to the server.
func (f *Front) Serve(d *minersim.Device, c net.Conn) {
	select {
	case f.hub.conns <- &deviceConn{c, d}:
	case <-f.hub.closed:
		_ = c.Close()
	}
}

// Close ends the front and its connections.
func (f *Front) Close() error { return f.server.Close() }

// Accept waits for the next connection.
func (h *hub) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends every wait.
func (h *hub) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is no place: every device has its own.
func (*hub) Addr() net.Addr { return &net.TCPAddr{} }

// deviceConn remembers whose connection it is.
type deviceConn struct {
	net.Conn
	device *minersim.Device
}

type deviceKey struct{}

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

// maxBody bounds what a client may send.
const maxBody = 64 << 10

// do answers a request by running f under the device's lock. Writes are held back as the
// device's persona has it.
func (f *Front) do(w http.ResponseWriter, r *http.Request, open bool, act func(*call) (any, error)) {
	d := r.Context().Value(deviceKey{}).(*minersim.Device)
	body, err := readBody(w, r)
	if err != nil {
		answer(w, nil, failure{http.StatusBadRequest, err.Error()})
		return
	}
	var out any
	d.Do(func(m *minersim.Machine) {
		st := d.Memory().(*state)
		switch {
		case !m.Reachable():
			err = errUnreachable
		case !open && !st.authorized(r.Header.Get("Authorization"), m.Now()):
			err = failure{http.StatusUnauthorized, "Unauthorized"}
		default:
			out, err = act(&call{state: st, m: m, body: body, now: d.Clock().Now(), d: d})
		}
	})
	if errors.Is(err, errUnreachable) {
		hangUp(w)
		return
	}
	if r.Method != http.MethodGet {
		d.Hold(r.Context().Done())
		if !d.Reachable() && out != (noContent{}) {
			hangUp(w)
			return
		}
	}
	answer(w, out, err)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var raw json.RawMessage
	if r.ContentLength == 0 {
		return nil, nil
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// hangUp cuts the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			minersim.Reset(c.(*deviceConn).Conn)
		}
	}
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
