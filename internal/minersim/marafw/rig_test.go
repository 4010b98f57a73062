package marafw_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/marafw"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: new, count: 1, model: S21, firmware: MaraFW, firstAddress: BASE1, budget: x, ports: {MaraFW: 18085}}
- {name: old, count: 1, model: S19k Pro, firmware: MaraFW, firmwareVersion: 1.0.3, firstAddress: BASE2, ports: {MaraFW: 18085}}
- {name: asleep, count: 1, model: S21, firmware: MaraFW, firstAddress: BASE3, username: me, password: secret, powerSource: PSU, initial: Sleeping, ports: {MaraFW: 18085}}
`

// Devices of the fleet.
const (
	newer  = 0
	older  = 1
	asleep = 2
)

// rig is one machine under test.
type rig struct {
	t     *testing.T
	site  *minersim.Site
	d     *minersim.Device
	clock *simtest.Clock
	http  http.Client
}

func start(t *testing.T, device int) *rig {
	front := marafw.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"MaraFW": front}, fleet)
	r := &rig{t: t, site: site, clock: clock}
	r.to(device)
	return r
}

// to turns to another machine of the fleet.
func (r *rig) to(device int) {
	r.d = r.site.Fleet.Devices[device]
	if r.d.Password != "" {
		r.login(r.d.Username, r.d.Password)
		return
	}
	r.login("root", "root")
}

func (r *rig) login(username, password string) {
	r.http.Transport = simtest.Signing(username, password)
}

func (r *rig) send(method, path, body string) (int, []byte, error) {
	r.t.Helper()
	return simtest.Send(r.t, &r.http, method, fmt.Sprintf("http://%s/%s", r.d.Address, path), body)
}

// want makes a request that must have the given status, and reads its answer.
func (r *rig) want(status int, method, path, body string, into any) []byte {
	r.t.Helper()
	code, out, err := r.send(method, "kaonsu/v1/"+path, body)
	if err != nil || code != status {
		r.t.Fatalf("%s %s %s: %d %q %v, want %d", method, path, body, code, out, err, status)
	}
	if into != nil {
		if err := json.Unmarshal(out, into); err != nil {
			r.t.Fatalf("%s: %v in %q", path, err, out)
		}
	}
	return out
}

func (r *rig) get(path string, into any) []byte {
	r.t.Helper()
	return r.want(200, "GET", path, "", into)
}

type reply struct {
	Error bool
	Msg   string
}

func (r *rig) post(path, body string) (got reply) {
	r.t.Helper()
	r.want(200, "POST", path, body, &got)
	return got
}

// document reads all settings.
func (r *rig) document() (all map[string]any) {
	r.t.Helper()
	r.get("miner_config", &all)
	return all
}

// set reads the settings, changes their mode, and writes them whole, as clients do.
func (r *rig) set(edit func(mode map[string]any)) reply {
	r.t.Helper()
	all := r.document()
	edit(all["mode"].(map[string]any))
	body, err := json.Marshal(all)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.post("miner_config", string(body))
}

func (r *rig) selector(name string) reply {
	r.t.Helper()
	return r.set(func(m map[string]any) { m["work-mode-selector"] = name })
}

func (r *rig) power(watts float64) reply {
	r.t.Helper()
	return r.set(func(m map[string]any) {
		m["work-mode-selector"] = "Auto"
		m["concorde"] = map[string]any{"mode-select": "PowerTarget", "power-target": watts, "hash-target": 200}
	})
}

func (r *rig) status() string {
	r.t.Helper()
	var b struct{ Status string }
	r.get("brief", &b)
	return b.Status
}

// rpc sends one command to port 4028.
func (r *rig) rpc(request string) []byte {
	r.t.Helper()
	return bytes.TrimRight(simtest.Ask(r.t, r.d.Doors[0], request), "\x00")
}

// draws checks the true watts after so long.
func (r *rig) draws(after time.Duration, want float64) {
	r.t.Helper()
	simtest.Draws(r.t, r.clock, r.d, after, want)
}
