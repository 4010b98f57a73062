package vnish_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
	"github.com/counterweight-dev/counterweight/internal/minersim/vnish"
)

const fleet = `
seed: 2
groups:
- {name: old, count: 2, model: S21 Pro, firmware: VNish, firstAddress: BASE1, budget: x, ports: {VNish: 18082}}
- {name: new, count: 1, model: S21 Pro, firmware: VNish, firmwareVersion: 1.3.4, firstAddress: BASE9, ports: {VNish: 18082}}
- {name: asleep, count: 1, model: S19j Pro, firmware: VNish, firmwareVersion: 1.2.6, firstAddress: BASE19, initial: Sleeping, password: secret, powerSource: PSU, ports: {VNish: 18082}}
`

// Devices of the fleet.
const (
	older  = 0
	newer  = 2
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
	front := vnish.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"VNish": front}, fleet)
	r := &rig{t: t, site: site, d: site.Fleet.Devices[device], clock: clock}
	r.login()
	return r
}

// login unlocks with the password of the device.
func (r *rig) login() {
	r.t.Helper()
	password := r.d.Password
	if password == "" {
		password = "admin"
	}
	r.header = http.Header{"Authorization": {"Bearer " + r.unlock(password)}}
}

func (r *rig) unlock(password string) string {
	r.t.Helper()
	var reply struct{ Token string }
	r.want(200, "POST", "api/v1/unlock", fmt.Sprintf(`{"pw":%q}`, password), &reply)
	return reply.Token
}

// send makes one request the way a plain HTTP client does.
func (r *rig) send(method, path, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, fmt.Sprintf("http://%s/%s", r.d.Address, path), bytes.NewBufferString(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for name := range r.header {
		req.Header.Set(name, r.header.Get(name))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, out, err
}

// want makes a request that must have the given status, and reads its answer.
func (r *rig) want(status int, method, path, body string, into any) []byte {
	r.t.Helper()
	code, out, err := r.send(method, path, body)
	if err != nil || code != status {
		r.t.Fatalf("%s %s %s: %d %q %v, want %d", method, path, body, code, out, err, status)
	}
	if into != nil {
		if err := json.Unmarshal(out, into); err != nil {
			r.t.Fatalf("%s %s: %v in %q", method, path, err, out)
		}
	}
	return out
}

// get reads a path of the interface.
func (r *rig) get(path string, into any) {
	r.t.Helper()
	r.want(200, "GET", "api/v1/"+path, "", into)
}

// post commands.
func (r *rig) post(path, body string) []byte {
	r.t.Helper()
	return r.want(200, "POST", "api/v1/"+path, body, nil)
}

type saved struct {
	Restart bool `json:"restart_required"`
	Reboot  bool `json:"reboot_required"`
}

// save writes settings and returns what the machine says.
func (r *rig) save(document string) (reply saved) {
	r.t.Helper()
	r.want(200, "POST", "api/v1/settings", document, &reply)
	return reply
}

// choose writes a preset's name into the settings.
func (r *rig) choose(preset string) saved {
	r.t.Helper()
	return r.save(fmt.Sprintf(`{"miner":{"overclock":{"preset":%q}}}`, preset))
}

type preset struct {
	Name, Pretty, Status string
	Modded               bool `json:"modded_psu_required"`
}

func (r *rig) presets() (list []preset) {
	r.t.Helper()
	r.get("autotune/presets", &list)
	return list
}

// reading is what a client would read of a machine.
type reading struct {
	state     string
	since     int
	desired   string // of the settings
	effective preset // of the performance summary
	watts     int
	giga      float64 // hr_realtime
	nominal   float64 // hr_nominal
	average   float64 // hr_average
	throttled *int
	restart   bool
}

func (r *rig) read() reading {
	r.t.Helper()
	var s struct {
		Miner struct {
			Status struct {
				State     string `json:"miner_state"`
				Since     int    `json:"miner_state_time"`
				Throttled *int
			} `json:"miner_status"`
			Watts    int     `json:"power_consumption"`
			Realtime float64 `json:"hr_realtime"`
			Nominal  float64 `json:"hr_nominal"`
			Average  float64 `json:"hr_average"`
		}
	}
	var perf struct {
		Current preset `json:"current_preset"`
	}
	var set struct {
		Miner struct{ Overclock struct{ Preset string } }
	}
	var status saved
	r.get("summary", &s)
	r.get("perf-summary", &perf)
	r.get("settings", &set)
	r.get("status", &status)
	m := s.Miner
	return reading{
		m.Status.State, m.Status.Since, set.Miner.Overclock.Preset, perf.Current, m.Watts,
		m.Realtime, m.Nominal, m.Average, m.Status.Throttled, status.Restart,
	}
}

// after moves the clock and reads.
func (r *rig) after(d time.Duration) reading {
	r.t.Helper()
	r.clock.Advance(d)
	return r.read()
}

// hourOn moves the clock by so much, unlocking again as often as it takes.
func (r *rig) hourOn(d time.Duration) reading {
	r.t.Helper()
	r.clock.Advance(d)
	r.login()
	return r.read()
}

// atWall is what a preset takes at this machine's wall: its own tolerance included.
func (r *rig) atWall(watts float64) (own float64) {
	r.d.Do(func(m *minersim.Machine) { own = watts * m.NominalWatts / m.Model.Watts })
	return own
}

func near(got int, want, percent float64) bool {
	return math.Abs(float64(got)-want) <= want*percent/100
}
