package whatsminer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// object is a JSON object.
type object = map[string]any

const (
	// maxRequest bounds one request.
	maxRequest = 16 << 10
	// idle is how long a connection may stay silent, by the vendor's word.
	idle = 10 * time.Second
)

// V2 serves API v2.
type V2 struct{}

// NewV2 makes a front; it holds nothing to close.
func NewV2() *V2 { return &V2{} }

// Port is that of the whole cgminer family.
func (*V2) Port() uint16 { return 4028 }

// ResidualWatts with the boards off.
func (*V2) ResidualWatts() float64 { return residual }

// Adopt gives a device its firmware.
func (*V2) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s, cmp.Or(d.Password, "admin"))
	return st, st.order()
}

// Serve answers the one request of a connection and closes it.
func (f *V2) Serve(d *minersim.Device, c net.Conn) {
	defer func() { _ = c.Close() }()
	// The deadline guards a real socket: real time, whatever clock the physics runs on.
	_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
	request := readRequest(c)
	if len(request) == 0 {
		return
	}
	a := f.answer(d, request)
	switch {
	case a.cut:
		minersim.Reset(c)
		return
	case a.silent:
		// Nothing is said and nothing is closed: the client has to give up by itself.
		_, _ = io.Copy(io.Discard, c)
		return
	case a.held:
		_ = c.SetDeadline(time.Time{})
		d.Hold(nil)
		_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
	}
	_, _ = c.Write(a.out)
}

// readRequest reads until the JSON is whole, a NUL or a line end came last, or the client stopped
// sending.
func readRequest(c io.Reader) []byte {
	var request []byte
	chunk := make([]byte, 1024)
	for len(request) < maxRequest {
		n, err := c.Read(chunk)
		request = append(request, chunk[:n]...)
		if bytes.HasSuffix(request, []byte{0}) || bytes.HasSuffix(request, []byte{'\n'}) {
			return bytes.TrimRight(request, "\x00\r\n")
		}
		if err != nil || json.Valid(request) {
			break
		}
	}
	return request
}

// answer is what a machine says to a request, and how.
type answer struct {
	out []byte
	// held replies may be held back by the persona.
	held bool
	// silent tells that nothing is said at all, cut that the connection is torn.
	silent, cut bool
}

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m   *minersim.Machine
	d   *minersim.Device
	now time.Time
}

func callAt(d *minersim.Device, m *minersim.Machine) *call {
	return &call{state: d.Memory().(*state), m: m, d: d, now: d.Clock().Now()}
}

// answer runs a request under the device's lock.
func (f *V2) answer(d *minersim.Device, raw []byte) (a answer) {
	d.Do(func(m *minersim.Machine) {
		if !m.Reachable() {
			a.cut = true
			return
		}
		a = callAt(d, m).request(raw)
	})
	return a
}

// Codes of API v2.
const (
	codeInvalidCommand = 14
	codeInvalidJSON    = 23
	codeNoPermission   = 45
	codeOK             = 131
	codeError          = 132
	codeToken          = 134
	codeCheckToken     = 135
	codeTooManyTokens  = 136
	codeBase64         = 137
)

func (c *call) status(letter string, code int, message any) object {
	return object{"STATUS": letter, "When": c.now.Unix(), "Code": code, "Msg": message, "Description": ""}
}

func (c *call) ok(message any) object { return c.status("S", codeOK, message) }

func (c *call) fail(code int) object {
	return c.status("E", code, map[int]string{
		codeInvalidCommand: "invalid cmd", codeInvalidJSON: "invalid json", codeNoPermission: "can't access write cmd",
		codeError: "API command ERROR", codeCheckToken: "check token err", codeTooManyTokens: "over max connect",
		codeBase64: "base64 decode err",
	}[code])
}

// plain is a reply in clear.
func (c *call) plain(body object) answer { return answer{out: c.encode(body)} }

// encode writes JSON the way the machine does; an older one leaves a comma too many and begins
// with an empty line.
func (c *call) encode(body object) []byte {
	out, _ := json.Marshal(body)
	if c.Quirks {
		out = bytes.ReplaceAll(out, []byte("}]"), []byte(",}]"))
		out = append([]byte("\n"), out...)
	}
	return out
}

// fields are a request's.
type fields map[string]any

// text is a parameter, which the vendor wants as a string.
func (f fields) text(name string) string {
	if v, ok := f[name]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

func (f fields) command() string { return cmp.Or(f.text("cmd"), f.text("command")) }

func (c *call) request(raw []byte) answer {
	var f fields
	if json.Unmarshal(raw, &f) != nil {
		return c.plain(c.fail(codeInvalidJSON))
	}
	_, sealed := f["enc"]
	name := f.command()
	if c.framed && (sealed || name == "get_token") { // writes broke with the releases from 2024-11 on; how is assumed
		return c.plain(c.fail(codeNoPermission))
	}
	if sealed {
		return c.sealed(f)
	}
	if _, ok := writes[name]; ok {
		if !c.APISwitch || c.framed {
			return c.plain(c.fail(codeNoPermission))
		}
		return c.plain(c.fail(codeCheckToken))
	}
	if name == "get_token" {
		return c.plain(c.getToken())
	}
	return c.read(name)
}

func (c *call) getToken() object {
	if c.m.Busy() {
		return c.fail(codeTooManyTokens)
	}
	msg, ok := c.tokens.issue(c.m.Now(), fmt.Sprintf("%04d", c.now.Unix()%10000))
	if !ok {
		return c.fail(codeTooManyTokens)
	}
	return c.status("S", codeToken, msg)
}

// read answers what needs no token. What the mining software has to answer gets none while that
// restarts.
func (c *call) read(name string) answer {
	if strings.Contains(name, "+") {
		return c.joined(name)
	}
	read, ok := reads[name]
	if !ok {
		return c.plain(c.fail(codeInvalidCommand))
	}
	if mining[name] && !c.answers(c.m) {
		return answer{cut: true}
	}
	if name == "get_error_code" && c.Quirks && c.crashed {
		return answer{out: c.misprinted()}
	}
	return c.plain(read(c))
}

// joined runs several reads in one request; each answer hangs under its command's name.
func (c *call) joined(names string) answer {
	body := object{"id": 1}
	for name := range strings.SplitSeq(names, "+") {
		read, ok := reads[name]
		switch {
		case !ok:
			body[name] = []object{c.fail(codeInvalidCommand)}
		case mining[name] && !c.answers(c.m):
			return answer{cut: true}
		default:
			body[name] = []object{read(c)}
		}
	}
	return c.plain(body)
}

// sealed answers an encrypted request. Until its token is known good, errors are in clear.
func (c *call) sealed(f fields) answer {
	if n, ok := f["enc"].(float64); !ok || n != 1 {
		return c.plain(c.fail(codeInvalidJSON))
	}
	raw, err := unseal(c.tokens.key, f.text("data"))
	if err == errBase64 { //nolint:errorlint // our own, never wrapped
		return c.plain(c.fail(codeBase64))
	}
	var inner fields
	// Another password's key makes noise of it.
	if err != nil || json.Unmarshal(raw, &inner) != nil {
		return c.plain(c.fail(codeInvalidJSON))
	}
	if !c.tokens.good(c.m.Now(), inner.text("token")) {
		return c.plain(c.fail(codeCheckToken))
	}
	name := inner.command()
	write, ok := writes[name]
	if !ok {
		return c.seal(c.read(name))
	}
	if !c.APISwitch {
		return c.plain(c.fail(codeNoPermission))
	}
	a := c.seal(write(c, inner))
	a.held = true
	return a
}

// seal encrypts a reply. An older machine pads with PKCS7's bytes, the others with zeros.
func (c *call) seal(a answer) answer {
	if a.out != nil {
		a.out, _ = json.Marshal(object{"enc": seal(c.tokens.key, a.out, c.Quirks)})
	}
	return a
}
