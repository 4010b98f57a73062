package vnish

import (
	"net/http"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// base is where the interface lives.
const base = "/api/v1/"

// page is all that is left of the web interface: what discovery looks for.
const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="firmware" content="AnthillOS">` +
	`<title>AnthillOS</title></head><body><div id="root"></div></body></html>
`

// routes binds every path that is served.
func (f *Front) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, to := range table() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { f.do(w, r, to) })
	}
	return mux
}

func table() map[string]route {
	all := map[string]route{"GET /{$}": {act: func(*call) (any, error) { return html(page), nil }, open: true}}
	get := func(path string, to route) { all["GET "+base+path] = to }
	post := func(path string, to route) { all["POST "+base+path] = to }
	get("info", route{act: info, open: true})
	get("model", route{act: model, open: true})
	get("status", route{act: status, open: true})
	get("perf-summary", route{act: perfSummary, open: true})
	get("chains", route{act: chains, open: true, only: "1.2"})
	get("boards", route{act: chains, open: true, only: "1.3"})
	get("chains/factory-info", route{act: factoryInfo, open: true})
	get("summary", route{act: summary})
	get("autotune/presets", route{act: listPresets})
	get("settings", route{act: readSettings})
	post("settings", route{act: writeSettings, held: true})
	post("unlock", route{act: unlock, open: true})
	post("lock", route{act: lock})
	get("auth-check", route{act: authCheck})
	get("apikeys", route{act: listKeys})
	post("apikeys", route{act: addKey})
	post("apikeys/delete", route{act: deleteKey})
	post("find-miner", route{act: findMiner, open: true})
	post("system/reboot", route{held: true, act: func(c *call) (any, error) {
		c.m.CommandReboot(false)
		// The vendor's default; the simulated machine is gone at once.
		return object{"after": 3}, nil
	}})
	addMining(post)
	return all
}

// addMining binds the commands. Each error of the vendor's names one of two modes, whichever
// command it was.
func addMining(post func(string, route)) {
	always := func(act func(*state, *minersim.Machine)) func(*call) (any, error) {
		return func(c *call) (any, error) {
			act(c.state, c.m)
			return c.done(), nil
		}
	}
	maybe := func(mode string, act func(*state, *minersim.Machine) bool) func(*call) (any, error) {
		return func(c *call) (any, error) {
			if !act(c.state, c.m) {
				return nil, broken("CGMiner err: Cgminer error failed-to-activate-" + mode + "-mode ")
			}
			return c.done(), nil
		}
	}
	post("mining/start", route{held: true, act: always((*state).start)})
	post("mining/stop", route{held: true, act: always((*state).stop)})
	post("mining/restart", route{held: true, act: always((*state).restart)})
	post("mining/pause", route{held: true, act: maybe("pause", (*state).pause)})
	post("mining/resume", route{held: true, act: maybe("resume", (*state).resume)})
	post("mining/throttle", route{held: true, act: throttle, only: "1.3"})
	post("mining/switch-pool", route{held: true, act: switchPool})
}

// done is the reply to a mining command: nothing on 1.2.6, as recorded and in the schema; an empty object on 1.2.7,
// since clients in the field read one and take it for a success; and an object on 1.3, as clients' tests have it.
func (c *call) done() any {
	switch {
	case c.newer:
		return object{"success": true}
	case c.version == firstRelease:
		return empty{}
	}
	return object{}
}

func throttle(c *call) (any, error) {
	var q struct {
		Percent *int `json:"percent"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if q.Percent == nil || *q.Percent < 20 || *q.Percent > 100 {
		return nil, refusal{http.StatusBadRequest, object{"err": "percent must be within 20 and 100"}}
	}
	if !c.throttleTo(c.m, *q.Percent) {
		return nil, broken("Incorrect miner status, try later")
	}
	return c.done(), nil
}

func switchPool(c *call) (any, error) {
	var q struct {
		Pool *int `json:"pool_id"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if q.Pool == nil || *q.Pool != 0 {
		return nil, broken("Could not find pool")
	}
	return c.done(), nil
}

// findMiner blinks, or not; without a body it is the other way round each time.
func findMiner(c *call) (any, error) {
	on := struct {
		On *bool `json:"on"`
	}{}
	if c.body != nil {
		if err := c.parse(&on); err != nil {
			return nil, err
		}
	}
	c.locating = !c.locating
	keep(&c.locating, on.On)
	return object{"on": c.locating}, nil
}
