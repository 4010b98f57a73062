package proto_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/proto"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 3
groups:
- {name: rig, count: 1, model: Proto Rig, firmware: ProtoRig, firstAddress: BASE1, budget: x, ports: {ProtoRig: 18085}}
- {name: locked, count: 1, model: Proto Rig, firmware: ProtoRig, firstAddress: BASE2, password: correct horse, ports: {ProtoRig: 18085}}
- {name: asleep, count: 1, model: Proto Rig, firmware: ProtoRig, firstAddress: BASE3, initial: Sleeping, ports: {ProtoRig: 18085}}
`

// Devices of the fleet.
const (
	awake = iota
	locked
	asleep
)

// full is what a Rig draws at work, stopped what it draws at rest, in watts; fullRate is in TH/s.
const full, stopped, fullRate = 11550, 90, 819

// rig is one machine under test, and the token to speak to it with.
type rig struct {
	t     *testing.T
	site  *minersim.Site
	d     *minersim.Device
	clock *simtest.Clock
	token string
}

func start(t *testing.T, device int) *rig {
	front := proto.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"ProtoRig": front}, fleet)
	return &rig{t: t, site: site, d: site.Fleet.Devices[device], clock: clock}
}

// enter starts a machine and logs in.
func enter(t *testing.T, device int) *rig {
	r := start(t, device)
	r.login("")
	return r
}

func (r *rig) login(password string) (refresh string) {
	r.t.Helper()
	o := r.object(200, "POST", "/auth/login", fmt.Sprintf(`{"password":%q}`, password))
	r.token, _ = o["access_token"].(string)
	refresh, _ = o["refresh_token"].(string)
	if r.token == "" || refresh == "" || r.token == refresh {
		r.t.Fatalf("logged in with %v", o)
	}
	return refresh
}

// send makes one request; a path that begins with a slash is one of the interface.
func (r *rig) send(method, path, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, fmt.Sprintf("http://%s/api/v1%s", r.d.Address, path), bytes.NewBufferString(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(out), err
}

// want makes a request that must have the given status.
func (r *rig) want(status int, method, path, body string) string {
	r.t.Helper()
	code, out, err := r.send(method, path, body)
	if err != nil || code != status {
		r.t.Fatalf("%s %s %s: %d %q %v, want %d", method, path, body, code, out, err, status)
	}
	return out
}

func (r *rig) object(status int, method, path, body string) map[string]any {
	r.t.Helper()
	var out map[string]any
	if text := r.want(status, method, path, body); json.Unmarshal([]byte(text), &out) != nil {
		r.t.Fatalf("%s: %q is no object", path, text)
	}
	return out
}

// refused makes a request that must be refused with the given code.
func (r *rig) refused(status int, code, method, path, body string) {
	r.t.Helper()
	o, _ := r.object(status, method, path, body)["error"].(map[string]any)
	if text, _ := o["message"].(string); o["code"] != code || text == "" {
		r.t.Errorf("%s %s: refused with %v, want %s", method, path, o, code)
	}
}

// mining is the summary.
func (r *rig) mining() map[string]any {
	r.t.Helper()
	o, ok := r.object(200, "GET", "/mining", "")["mining-status"].(map[string]any)
	if !ok {
		r.t.Fatal("no mining-status")
	}
	return o
}

func (r *rig) says(status string) {
	r.t.Helper()
	if got := r.mining()["status"]; got != status {
		r.t.Errorf("says %v, want %s", got, status)
	}
}

// draws checks what a machine truly draws and hashes, and what it says in both places.
func (r *rig) draws(watts, terahashes float64) {
	r.t.Helper()
	r.truly(watts)
	truth, m := r.d.Truth(), r.mining()
	if !near(truth.TeraHashes, terahashes, 5) {
		r.t.Errorf("%g TH/s, want %g", truth.TeraHashes, terahashes)
	}
	if !near(m["power_usage_watts"].(float64), truth.Watts, 2) || !near(m["hashrate_ghs"].(float64), 1e3*truth.TeraHashes, 1) {
		r.t.Errorf("says %v W and %v GH/s of %g W and %g TH/s", m["power_usage_watts"], m["hashrate_ghs"], truth.Watts, truth.TeraHashes)
	}
	miner := r.object(200, "GET", "/telemetry?level=miner", "")["miner"].(map[string]any)
	for key, want := range map[string]struct {
		value float64
		unit  string
	}{"power": {truth.Watts, "W"}, "hashrate": {truth.TeraHashes, "TH/s"}} {
		o := miner[key].(map[string]any)
		if !near(o["value"].(float64), want.value, 2) || o["unit"] != want.unit {
			r.t.Errorf("telemetry of %s: %v, want %v", key, o, want)
		}
	}
}

// truly checks true watts alone; what stopped machines draw differs more from one to the next.
func (r *rig) truly(watts float64) {
	r.t.Helper()
	percent := 4.0
	if watts == stopped {
		percent = 25
	}
	if w := r.d.Watts(); !near(w, watts, percent) {
		r.t.Errorf("%g W, want %g", w, watts)
	}
}

func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }
