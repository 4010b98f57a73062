package sealminer_test

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
	"github.com/counterweight-dev/counterweight/internal/minersim/sealminer"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: a, count: 2, model: S21, firmware: SealMiner, firstAddress: BASE1, ports: {SealMiner.web: 18080}}
- {name: asleep, count: 1, model: S21, firmware: SealMiner, firstAddress: BASE9, initial: Sleeping, username: me, password: secret, ports: {SealMiner.web: 18080}}
`

// asleep is the second kind of device.
const asleep = 2

// rig is one machine under test and what a client knows of it.
type rig struct {
	t      *testing.T
	site   *minersim.Site
	d      *minersim.Device
	clock  *simtest.Clock
	cookie string
}

func start(t *testing.T, device int) *rig {
	front := sealminer.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"SealMiner": front}, fleet)
	return &rig{t: t, site: site, d: site.Fleet.Devices[device], clock: clock}
}

// raw sends bytes to the RPC and reads to the end.
func (r *rig) raw(request string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", r.d.Address.String(), time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(request)); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// ask sends one command and takes the reply apart.
func (r *rig) ask(command, parameter string) map[string]json.RawMessage {
	r.t.Helper()
	b, _ := json.Marshal(map[string]string{"command": command, "parameter": parameter})
	out, err := r.raw(string(b) + "\n")
	if err != nil || len(out) == 0 || out[len(out)-1] != 0 {
		r.t.Fatalf("%s: %q %v does not end in NUL", command, out, err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(bytes.TrimRight(out, "\x00"), &got); err != nil {
		r.t.Fatalf("%s: %v in %q", command, err, out)
	}
	return got
}

// want asks and checks letter and code.
func (r *rig) want(letter string, code int, command, parameter string) map[string]json.RawMessage {
	r.t.Helper()
	got := r.ask(command, parameter)
	var s []struct {
		STATUS string
		Code   int
	}
	if err := json.Unmarshal(got["STATUS"], &s); err != nil || len(s) != 1 || s[0].STATUS != letter || s[0].Code != code {
		r.t.Fatalf("%s %s: %s, want %s %d", command, parameter, got["STATUS"], letter, code)
	}
	return got
}

// section reads the first entry of a section.
func section[T any](r *rig, got map[string]json.RawMessage, name string) (out T) {
	r.t.Helper()
	var list []T
	if err := json.Unmarshal(got[name], &list); err != nil || len(list) == 0 {
		r.t.Fatalf("no %s in %s: %v", name, got, err)
	}
	return list[0]
}

// stats is the part of it that clients in the field read.
type stats struct {
	Model, Firmware, MAC string
	Serial               string  `json:"Ctrl Board SN"`
	State                string  `json:"PM State"`
	Tune                 string  `json:"Tune Status"`
	Mode                 string  `json:"Mining Mode"`
	Watts                float64 `json:"PSU Input Power"`
	Limit                int     `json:"Power Limit"`
	MHS                  float64 `json:"MHS(Sample)"`
	Rated                float64 `json:"MHS(Rated)"`
	Boards               int     `json:"Board Count"`
	Fans                 int     `json:"Fan Count"`
	Board2               float64 `json:"2 MHS(2m)"`
	Online2              bool    `json:"2 Online"`
	Boots                int     `json:"Boot Count"`
	Up                   int     `json:"System Uptime"`
}

func (r *rig) stats() stats {
	r.t.Helper()
	return section[stats](r, r.want("S", 70, "stats", ""), "STATS")
}

// after moves the clock and reads.
func (r *rig) after(d time.Duration) stats {
	r.t.Helper()
	r.clock.Advance(d)
	return r.stats()
}

// page makes one request to the web interface; a path without dot is one of the PHP pages.
func (r *rig) page(method, path, body string) (int, []byte, error) {
	if path != "" && !strings.Contains(path, ".") {
		path = "cgi-bin/" + path + ".php"
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, fmt.Sprintf("http://%s/%s", r.d.Doors[0], path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.cookie != "" {
		req.Header.Set("Cookie", r.cookie)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if set := resp.Header.Get("Set-Cookie"); set != "" {
		r.cookie, _, _ = strings.Cut(set, ";")
	}
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, out, err
}

// open reads a page, which must be there, into something.
func (r *rig) open(method, path, body string, into any) string {
	r.t.Helper()
	code, out, err := r.page(method, path, body)
	if err != nil || code != 200 {
		r.t.Fatalf("%s: %d %q %v", path, code, out, err)
	}
	if into != nil {
		if err := json.Unmarshal(out, into); err != nil {
			r.t.Fatalf("%s: %v in %q", path, err, out)
		}
	}
	return strings.TrimSpace(string(out))
}

// login opens a session as clients in the field do.
func (r *rig) login() {
	r.t.Helper()
	user, password := "seal", "seal"
	if r.d.Password != "" {
		user, password = r.d.Username, r.d.Password
	}
	if got := r.open("POST", "login", "username="+user+"&origin_pwd="+password, nil); !strings.Contains(got, `"state":0`) || r.cookie == "" {
		r.t.Fatalf("%s, cookie %q", got, r.cookie)
	}
}

func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }
