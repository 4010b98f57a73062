// Package overrpc serves the fronts that speak the RPC of the cgminer family: one JSON request per
// connection, and a reply that ends in NUL. It knows no command.
package overrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Object is a JSON object.
type Object = map[string]any

// Request is one command.
type Request struct {
	Command, Parameter string
	// Joined tells that it is one of several in a request, as reads may be.
	Joined bool
	// NewAPI asks for the newer form of a reply, where there is one; inside a parameter it means nothing.
	NewAPI bool
}

// Answer runs a command under the device's lock; held tells that a persona may hold back the reply.
type Answer func(m *minersim.Machine, q Request) (reply any, held bool)

const (
	// maxRequest bounds one request, and maxJoined the commands in it.
	maxRequest = 16 << 10
	maxJoined  = 16
	// idle is how long a connection may stay silent (assumed).
	idle = 10 * time.Second
)

// Codes of the whole family.
const (
	CodeInvalidCommand = 14
	CodeInvalidJSON    = 23
	CodeMissingCommand = 24
)

// Status is the section that every reply begins with.
func Status(d *minersim.Device, letter string, code int, message, description string) []Object {
	return []Object{{
		"STATUS": letter, "When": d.Clock().Now().Unix(), "Code": code, "Msg": message, "Description": description,
	}}
}

// Serve answers the one request of a connection and closes it. description is what failures of
// the frame say of the software.
func Serve(d *minersim.Device, c net.Conn, description string, answer Answer) {
	defer func() { _ = c.Close() }()
	// The deadline guards a real socket: real time, whatever clock the physics runs on.
	_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
	request, err := read(c)
	if err != nil && len(request) == 0 {
		return
	}
	var reply any
	held, reachable := false, false
	d.Do(func(m *minersim.Machine) {
		if reachable = m.Reachable(); reachable {
			reply, held = run(d, m, request, description, answer)
		}
	})
	if !reachable {
		minersim.Reset(c)
		return
	}
	if held {
		_ = c.SetDeadline(time.Time{})
		d.Hold(nil)
		_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
	}
	out, err := json.Marshal(reply)
	if err != nil {
		return
	}
	_, _ = c.Write(append(out, 0))
}

// ServeOne answers the one request of a connection and closes it, for firmware that knows no joined commands and no
// failures of the frame but its own: err tells that the request was no JSON. Without a reply the connection is cut.
func ServeOne(c net.Conn, answer func(q Request, err error) []byte) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle)) // real time, as above
	raw, err := read(c)
	if err != nil && len(raw) == 0 {
		return
	}
	var q struct {
		Command string `json:"command"`
		NewAPI  bool   `json:"new_api"`
	}
	bad := json.Unmarshal(raw, &q)
	out := answer(Request{Command: q.Command, NewAPI: q.NewAPI}, bad)
	if out == nil {
		minersim.Reset(c)
		return
	}
	_, _ = c.Write(append(out, 0))
}

// read reads until the JSON is whole, a NUL or a line end came, or the client stopped sending.
func read(c io.Reader) ([]byte, error) {
	var request []byte
	chunk := make([]byte, 1024)
	for len(request) < maxRequest {
		n, err := c.Read(chunk)
		request = append(request, chunk[:n]...)
		if i := bytes.IndexAny(request, "\x00\n"); i >= 0 {
			return request[:i], nil
		}
		if json.Valid(request) || err != nil {
			return request, err
		}
	}
	return request, nil
}

func run(d *minersim.Device, m *minersim.Machine, raw []byte, description string, answer Answer) (any, bool) {
	fail := func(code int, message string) (any, bool) {
		return Object{"STATUS": Status(d, "E", code, message, description), "id": 1}, false
	}
	var q struct {
		Command   string `json:"command"`
		Parameter any    `json:"parameter"`
	}
	if json.Unmarshal(raw, &q) != nil {
		return fail(CodeInvalidJSON, "Invalid JSON")
	}
	names := strings.Split(q.Command, "+")
	switch {
	case q.Command == "":
		return fail(CodeMissingCommand, "Missing JSON 'command'")
	case len(names) > maxJoined:
		return fail(CodeInvalidCommand, "Invalid command")
	case len(names) > 1:
		all := Object{"id": 1}
		for _, name := range names {
			one, _ := answer(m, Request{Command: name, Joined: true})
			all[name] = []any{one}
		}
		return all, false
	}
	parameter := ""
	if q.Parameter != nil {
		parameter = fmt.Sprint(q.Parameter)
	}
	return answer(m, Request{Command: q.Command, Parameter: parameter})
}
