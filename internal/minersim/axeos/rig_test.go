package axeos_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/axeos"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: gamma, count: 1, model: Bitaxe Gamma, firmware: AxeOS, firstAddress: BASE1, budget: x, ports: {AxeOS: 18084}}
- {name: old, count: 1, model: Supra, firmware: AxeOS, firmwareVersion: 2.13.0, firstAddress: BASE2, ports: {AxeOS: 18084}}
- {name: gt, count: 1, model: Bitaxe GT, firmware: AxeOS, firstAddress: BASE3, initial: Sleeping, ports: {AxeOS: 18084}}
- {name: other, count: 1, model: S21, firmware: AxeOS, firstAddress: BASE4, ports: {AxeOS: 18084}}
`

// Devices of the fleet.
const (
	gamma = iota
	older
	gt
	other
)

// rig is one machine under test.
type rig struct {
	t     *testing.T
	site  *minersim.Site
	d     *minersim.Device
	clock *simtest.Clock
}

func start(t *testing.T, device int) *rig {
	front := axeos.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"AxeOS": front}, fleet)
	return &rig{t: t, site: site, d: site.Fleet.Devices[device], clock: clock}
}

// send makes one request; origin says what page it comes from.
func (r *rig) send(method, path, body, origin string) (int, http.Header, string, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, fmt.Sprintf("http://%s%s", r.d.Address, path), bytes.NewBufferString(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(out), err
}

// want makes a request that must have the given status.
func (r *rig) want(status int, method, path, body string) string {
	r.t.Helper()
	code, _, out, err := r.send(method, path, body, "")
	if err != nil || code != status {
		r.t.Fatalf("%s %s %s: %d %q %v, want %d", method, path, body, code, out, err, status)
	}
	return out
}

// info reads the document.
func (r *rig) info() map[string]any {
	r.t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(r.want(200, "GET", "/api/system/info", "")), &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) number(key string) float64 {
	r.t.Helper()
	v, ok := r.info()[key].(float64)
	if !ok {
		r.t.Fatalf("%s is %v", key, r.info()[key])
	}
	return v
}

// draws checks what a machine truly draws and hashes, and what it says.
func (r *rig) draws(watts, terahashes float64) {
	r.t.Helper()
	truth := r.d.Truth()
	if !near(truth.Watts, watts, 5) || !near(r.number("power"), truth.Watts, 2) ||
		!near(truth.TeraHashes, terahashes, 5) || !near(r.number("hashRate"), 1e3*truth.TeraHashes, 1) {
		r.t.Errorf("%g W and %g TH/s, says %g W and %g GH/s, want %g W and %g TH/s", truth.Watts, truth.TeraHashes,
			r.number("power"), r.number("hashRate"), watts, terahashes)
	}
}

func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }
