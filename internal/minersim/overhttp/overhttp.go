// Package overhttp serves the fronts that speak HTTP: one server for the connections of every
// device a front adopted, each request knowing whose it is. It decides nothing of a protocol.
package overhttp

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Server answers for all devices of one front.
type Server struct {
	hub  *hub
	http *http.Server
}

// hub is the listener of the one server: it accepts the connections that Serve is given.
type hub struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Start begins to serve; Close ends it.
func Start(handler http.Handler) *Server {
	s := &Server{hub: &hub{conns: make(chan net.Conn), closed: make(chan struct{})}}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       90 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, deviceKey{}, c.(*deviceConn).device)
		},
	}
	go func() { _ = s.http.Serve(s.hub) }()
	return s
}

// Serve hands a device's connection to the server.
func (s *Server) Serve(d *minersim.Device, c net.Conn) {
	select {
	case s.hub.conns <- &deviceConn{c, d}:
	case <-s.hub.closed:
		_ = c.Close()
	}
}

// Close ends the server and its connections.
func (s *Server) Close() error { return s.http.Close() }

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

// Device is the one a request was sent to.
func Device(r *http.Request) *minersim.Device {
	return r.Context().Value(deviceKey{}).(*minersim.Device)
}

// maxBody bounds what a client may send.
const maxBody = 64 << 10

// Body reads the JSON that a request carries; nil where it carries nothing.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var raw json.RawMessage
	if r.ContentLength == 0 {
		return nil, nil
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// HangUp cuts the connection without an answer.
func HangUp(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			minersim.Reset(c.(*deviceConn).Conn)
		}
	}
}
