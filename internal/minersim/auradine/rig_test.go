package auradine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/auradine"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: new, count: 2, model: S21, firmware: Auradine, firstAddress: BASE1}
- {name: old, count: 1, model: S19 XP, firmware: Auradine, firmwareVersion: 2023-12.27, firstAddress: BASE9}
- {name: asleep, count: 1, model: S21, firmware: Auradine, firstAddress: BASE19, initial: Sleeping, username: me, password: secret}
`

// Devices of the fleet.
const (
	newest = 0
	older  = 2
	asleep = 3
)

// rig is one machine under test and what a client knows of it.
type rig struct {
	t      *testing.T
	site   *minersim.Site
	d      *minersim.Device
	clock  *simtest.Clock
	header http.Header
}

func start(t *testing.T, device int) *rig {
	front := auradine.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"Auradine": front}, fleet)
	r := &rig{t: t, site: site, d: site.Fleet.Devices[device], clock: clock, header: http.Header{}}
	r.login()
	return r
}

// login asks for a token as clients in the field do.
func (r *rig) login() {
	r.t.Helper()
	user, password := "admin", "admin"
	if r.d.Password != "" {
		user, password = r.d.Username, r.d.Password
	}
	code, reply := r.send("POST", "token", fmt.Sprintf(`{"command":"token","user":%q,"password":%q}`, user, password))
	var t []struct{ Token string }
	if err := json.Unmarshal(reply.sections["Token"], &t); err != nil || code != 200 || len(t) != 1 || t[0].Token == "" {
		r.t.Fatalf("%d %s %v", code, reply.text, err)
	}
	r.header = http.Header{"Token": {t[0].Token}}
}

type reply struct {
	text     string
	status   []struct{ STATUS, Msg, Description string }
	code     int
	sections map[string]json.RawMessage
}

func read(t *testing.T, out []byte) (got reply) {
	t.Helper()
	got.text = string(out)
	if err := json.Unmarshal(out, &got.sections); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	_ = json.Unmarshal(got.sections["STATUS"], &got.status)
	var codes []struct{ Code int }
	if _ = json.Unmarshal(got.sections["STATUS"], &codes); len(codes) == 1 {
		got.code = codes[0].Code
	}
	return got
}

// try makes one request the way a plain HTTP client does.
func (r *rig) try(method, path, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, fmt.Sprintf("http://%s/%s", r.d.Address, path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = r.header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, out, err
}

func (r *rig) send(method, path, body string) (int, reply) {
	r.t.Helper()
	code, out, err := r.try(method, path, body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return code, read(r.t, out)
}

// want makes a request that must have the given letter and code.
func (r *rig) want(letter string, code int, method, path, body string) reply {
	r.t.Helper()
	_, got := r.send(method, path, body)
	if len(got.status) != 1 || got.status[0].STATUS != letter || got.code != code {
		r.t.Fatalf("%s %s %s: %s, want %s %d", method, path, body, got.text, letter, code)
	}
	return got
}

// rpc sends one command to the other port and reads to the end.
func (r *rig) rpc(command string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", r.d.Doors[0].String(), time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, `{"command":%q}`, command); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// ask sends a command to the RPC.
func (r *rig) ask(command string) reply {
	r.t.Helper()
	out, err := r.rpc(command)
	if err != nil || len(out) == 0 || out[len(out)-1] != 0 {
		r.t.Fatalf("%s: %q %v does not end in NUL", command, out, err)
	}
	return read(r.t, bytes.TrimRight(out, "\x00"))
}

// section reads the first entry of a section.
func section[T any](r *rig, got reply, name string) (out T) {
	r.t.Helper()
	var list []T
	if err := json.Unmarshal(got.sections[name], &list); err != nil || len(list) == 0 {
		r.t.Fatalf("no %s in %s: %v", name, got.text, err)
	}
	return list[0]
}

type mode struct {
	Mode, Sleep, Tune string
	Power             *int
	Ths               *float64
}

func (r *rig) mode() mode {
	r.t.Helper()
	return section[mode](r, r.want("S", 540, "GET", "mode", ""), "Mode")
}

// set posts a mode and returns what the machine says is set now.
func (r *rig) set(body string) mode {
	r.t.Helper()
	return section[mode](r, r.want("S", 540, "POST", "mode", body), "Mode")
}

// watts is what the supply says it takes.
func (r *rig) watts() (w float64) {
	r.t.Helper()
	p := section[struct{ PowerIn string }](r, r.want("S", 570, "GET", "psu", ""), "PSU")
	if _, err := fmt.Sscanf(p.PowerIn, "%fW", &w); err != nil {
		r.t.Fatalf("%q: %v", p.PowerIn, err)
	}
	return w
}

// after moves the clock and reads the watts.
func (r *rig) after(d time.Duration) float64 {
	r.t.Helper()
	r.clock.Advance(d)
	return r.watts()
}

// nominal is what this machine draws by default, its own tolerance included.
func (r *rig) nominal() (w float64) {
	r.d.Do(func(m *minersim.Machine) { w = m.NominalWatts })
	return w
}

func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }
