package epic_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/epic"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: new, count: 2, model: S21, firmware: ePIC, firstAddress: BASE1, ports: {ePIC.web: 18080}}
- {name: mid, count: 1, model: S19 XP, firmware: ePIC, firmwareVersion: 1.30.0, firstAddress: BASE9, powerSource: PSU, ports: {ePIC.web: 18080}}
- {name: old, count: 1, model: S19 XP, firmware: ePIC, firmwareVersion: 1.5.13, firstAddress: BASE19, initial: Sleeping, password: secret, ports: {ePIC.web: 18080}}
`

// Devices of the fleet.
const (
	newest = 0
	middle = 2
	oldest = 3
)

// rig is one machine under test.
type rig struct {
	t        *testing.T
	site     *minersim.Site
	d        *minersim.Device
	clock    *simtest.Clock
	password string
}

func start(t *testing.T, device int) *rig {
	front := epic.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"ePIC": front}, fleet)
	r := &rig{t: t, site: site, d: site.Fleet.Devices[device], clock: clock, password: "letmein"}
	if r.d.Password != "" {
		r.password = r.d.Password
	}
	return r
}

// send makes one request the way a plain HTTP client does.
func (r *rig) send(at netip.AddrPort, method, path, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, fmt.Sprintf("http://%s/%s", at, path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, out, err
}

// get reads a path into something.
func (r *rig) get(path string, into any) {
	r.t.Helper()
	code, out, err := r.send(r.d.Address, "GET", path, "")
	if err != nil || code != 200 {
		r.t.Fatalf("%s: %d %q %v", path, code, out, err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		r.t.Fatalf("%s: %v in %q", path, err, out)
	}
}

// command sends a parameter with the password and returns the reply without the spaces.
func (r *rig) command(path, param string) string {
	r.t.Helper()
	code, out, err := r.send(r.d.Address, "POST", path, fmt.Sprintf(`{"param":%s,"password":%q}`, param, r.password))
	if err != nil || code != 200 {
		r.t.Fatalf("%s %s: %d %q %v", path, param, code, out, err)
	}
	return strings.TrimSpace(string(out))
}

const done = `{"error":null,"result":true}`

// ok sends a command that must succeed.
func (r *rig) ok(path, param string) {
	r.t.Helper()
	if got := r.command(path, param); got != done {
		r.t.Fatalf("%s %s: %s", path, param, got)
	}
}

// refused sends a command that must not.
func (r *rig) refused(path, param, want string) {
	r.t.Helper()
	if got := r.command(path, param); got != `{"error":`+want+`,"result":false}` {
		r.t.Errorf("%s %s: %s, want %s", path, param, got, want)
	}
}

type stats struct {
	Optimized bool
	Target    int
	Unit      string
}

// summary is the part of it that clients in the field read.
type summary struct {
	Status struct {
		State string `json:"Operating State"`
	}
	Hostname, Software string
	HBs                []struct {
		Index    int
		Hashrate []float64
		Clock    float64 `json:"Core Clock Avg"`
	}
	HBStatus []struct{ Enabled bool }
	Supply   struct {
		Watts  float64 `json:"Input Power"`
		Target int     `json:"Target Voltage"`
	} `json:"Power Supply Stats"`
	Tune struct {
		Running   bool
		Algorithm map[string]stats
	} `json:"PerpetualTune"`
	Session struct {
		Average float64 `json:"Average MHs"`
		Uptime  int
	}
	Misc struct {
		Locate bool `json:"Locate Miner State"`
	}
	Rpm   map[string]*int `json:"Fans Rpm"`
	Pools []struct{ Pool string }
}

func (r *rig) summary() (s summary) {
	r.t.Helper()
	r.get("summary", &s)
	return s
}

// after moves the clock and reads.
func (r *rig) after(d time.Duration) summary {
	r.t.Helper()
	r.clock.Advance(d)
	return r.summary()
}

// tera is what the boards hash together, TH/s.
func (s summary) tera() (sum float64) {
	for _, b := range s.HBs {
		sum += b.Hashrate[0] / 1e6
	}
	return sum
}

// nominal is what this machine draws by default, its own tolerance included.
func (r *rig) nominal() (w float64) {
	r.d.Do(func(m *minersim.Machine) { w = m.NominalWatts })
	return w
}

func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }
