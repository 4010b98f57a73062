package braiins_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/braiins"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: a, count: 2, model: S21, firmware: BraiinsOS, firstAddress: BASE1, budget: x, ports: {BraiinsOS: 18080}}
- {name: b, count: 1, model: S21, firmware: BraiinsOS, firstAddress: BASE9, initial: Sleeping, username: site, password: secret, ports: {BraiinsOS: 18080}}
`

// rig is one machine under test and what a client knows of it.
type rig struct {
	t     *testing.T
	site  *minersim.Site
	d     *minersim.Device
	clock *simtest.Clock
	token string
}

func start(t *testing.T) *rig {
	front := braiins.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"BraiinsOS": front}, fleet)
	r := &rig{t: t, site: site, d: site.Fleet.Devices[0], clock: clock}
	r.login()
	return r
}

func (r *rig) login() {
	var reply struct {
		Token   string `json:"token"`
		Timeout int    `json:"timeout_s"`
	}
	r.token = ""
	r.want(200, "POST", "auth/login", `{"username":"root","password":"root"}`, &reply)
	if reply.Token == "" || reply.Timeout != 3600 {
		r.t.Fatalf("login answered %+v", reply)
	}
	r.token = reply.Token
}

// send makes one request the way a plain HTTP client does.
func (r *rig) send(method, path, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, fmt.Sprintf("http://%s/api/v1/%s", r.d.Address, path), bytes.NewBufferString(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.token != "" {
		req.Header.Set("Authorization", r.token)
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
func (r *rig) want(status int, method, path, body string, into any) {
	r.t.Helper()
	code, out, err := r.send(method, path, body)
	if err != nil || code != status {
		r.t.Fatalf("%s %s %s: %d %q %v, want %d", method, path, body, code, out, err, status)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		r.t.Fatalf("%s %s: %v in %q", method, path, err, out)
	}
}

type watt struct {
	Watt int `json:"watt"`
}

// reading is what a client would read of a machine.
type reading struct {
	status  int
	watts   int // as estimated
	target  int
	tuner   int
	giga    float64 // last_5s, GH/s
	minutes float64 // last_5m, GH/s
}

func (r *rig) read() (out reading) {
	r.t.Helper()
	var details struct {
		Status int `json:"status"`
	}
	var stats struct {
		Miner struct {
			Real struct {
				Last5s struct {
					Giga float64 `json:"gigahash_per_second"`
				} `json:"last_5s"`
				Last5m struct {
					Giga float64 `json:"gigahash_per_second"`
				} `json:"last_5m"`
			} `json:"real_hashrate"`
		} `json:"miner_stats"`
		Power struct {
			Consumption watt `json:"approximated_consumption"`
		} `json:"power_stats"`
	}
	var tuner struct {
		State int `json:"overall_tuner_state"`
		Mode  struct {
			Power struct {
				Current watt `json:"current_target"`
			} `json:"powertargetmodestate"`
		} `json:"mode_state"`
	}
	r.want(200, "GET", "miner/details", "", &details)
	r.want(200, "GET", "miner/stats", "", &stats)
	r.want(200, "GET", "performance/tuner-state", "", &tuner)
	return reading{
		details.Status, stats.Power.Consumption.Watt, tuner.Mode.Power.Current.Watt, tuner.State,
		stats.Miner.Real.Last5s.Giga, stats.Miner.Real.Last5m.Giga,
	}
}

func near(got int, want, percent float64) bool {
	return math.Abs(float64(got)-want) <= want*percent/100
}
