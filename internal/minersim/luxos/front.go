package luxos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Front serves port 4028 of LuxOS machines.
type Front struct{}

// New makes a front; it holds nothing to close.
func New() *Front { return &Front{} }

// Port is that of the whole cgminer family.
func (*Front) Port() uint16 { return 4028 }

// ResidualWatts asleep: about 25 W by the vendor's word.
func (*Front) ResidualWatts() float64 { return 25 }

// Adopt gives a device its firmware.
func (*Front) Adopt(_ *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(t, s)
	return st, st.order()
}

const (
	// maxRequest bounds one request.
	maxRequest = 16 << 10
	// idle is how long a connection may stay silent (assumed).
	idle = 10 * time.Second
)

// Serve answers the one request of a connection and closes it.
func (f *Front) Serve(d *minersim.Device, c net.Conn) {
	defer func() { _ = c.Close() }()
	// The deadline guards a real socket: real time, whatever clock the physics runs on.
	_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
	request, err := readRequest(c)
	if err != nil && len(request) == 0 {
		return
	}
	out, held, reachable := f.answer(d, request)
	if !reachable {
		minersim.Reset(c)
		return
	}
	if held {
		_ = c.SetDeadline(time.Time{})
		d.Hold(nil)
		_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
	}
	_, _ = c.Write(append(out, 0))
}

// readRequest reads until the JSON is whole, a NUL or a line end came, or the client stopped
// sending.
func readRequest(c io.Reader) ([]byte, error) {
	var request []byte
	chunk := make([]byte, 1024)
	for len(request) < maxRequest {
		n, err := c.Read(chunk)
		request = append(request, chunk[:n]...)
		if i := bytes.IndexAny(request, "\x00\n"); i >= 0 {
			return request[:i], nil
		}
		if json.Valid(request) {
			return request, nil
		}
		if err != nil {
			return request, err
		}
	}
	return request, nil
}

// answer runs a request under the device's lock. held tells that it was a write, whose reply
// the persona may hold back.
func (f *Front) answer(d *minersim.Device, raw []byte) (out []byte, held, reachable bool) {
	var request struct {
		Command   string `json:"command"`
		Parameter any    `json:"parameter"`
	}
	bad := json.Unmarshal(raw, &request)
	var reply object
	d.Do(func(m *minersim.Machine) {
		c := &call{state: d.Memory().(*state), m: m, d: d, now: d.Clock().Now()}
		reachable = m.Reachable()
		switch {
		case !reachable:
		case bad != nil:
			reply = c.fail(23, "Invalid JSON")
		case request.Command == "":
			reply = c.fail(24, "Missing JSON 'command'")
		case strings.Contains(request.Command, "+"):
			reply = c.joined(request.Command)
		default:
			parameter := ""
			if request.Parameter != nil {
				parameter = fmt.Sprint(request.Parameter)
			}
			reply, held = c.run(request.Command, parameter)
		}
	})
	out, _ = json.Marshal(reply)
	return out, held, reachable
}

// sessionName makes an eight-letter session that no two logons of a machine share.
func sessionName(serial string, n uint64) string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%d", serial, n)
	x := h.Sum64()
	name := make([]byte, 8)
	for i := range name {
		name[i] = letters[x%uint64(len(letters))]
		x /= uint64(len(letters))
	}
	return string(name)
}
