package proto

import (
	"fmt"
	"net/http"
	"strconv"
)

// base is where the interface lives.
const base = "/api/v1/"

// dashboard is all that is left of the pages: what discovery looks for.
const dashboard page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Proto OS</title></head>` +
	`<body><div id="root"></div></body></html>
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
	all := map[string]route{
		"GET /{$}": {act: func(*call) (any, error) { return dashboard, nil }, open: true},
		"/api/":    {act: unknown, open: true},
	}
	add := func(method string, routes map[string]route) {
		for path, to := range routes {
			all[method+" "+base+path] = to
		}
	}
	add("GET", map[string]route{
		"system": {act: system, open: true}, "system/status": {act: systemStatus, open: true}, "hardware": {act: hardware, open: true},
		"network": {act: network, open: true}, "pairing/info": {act: pairing, open: true},
		"system/logs": {act: logs}, "mining": {act: mining}, "mining/target": {act: readTarget}, "mining/tuning": {act: readTuning},
		"hashboards": {act: hashboards}, "telemetry": {act: telemetry}, "power-supplies": {act: supplies}, "hardware/psus": {act: supplies},
		"cooling": {act: cooling}, "pools": {act: pools}, "errors": {act: failures},
		"curtailment/config": {act: curtailmentConfig}, "curtailment/status": {act: curtailmentStatus},
		"hashrate": {act: series("hashrate")}, "power": {act: series("power")}, "efficiency": {act: series("efficiency")},
		"temperature": {act: series("temperature")},
	})
	add("POST", map[string]route{
		"auth/login": {act: login, open: true}, "auth/refresh": {act: refresh, open: true}, "auth/logout": {act: logout},
		"pairing/auth-key": {act: pair, open: true},
		"mining/start":     {act: start, held: true}, "mining/stop": {act: stop, held: true},
		"system/reboot": {act: reboot, held: true}, "system/locate": {act: locate}, "pools": {act: taken},
	})
	add("PUT", map[string]route{
		"auth/password": {act: setPassword, open: true}, "auth/change-password": {act: changePassword},
		"mining/target": {act: writeTarget, held: true}, "mining/tuning": {act: writeTuning}, "cooling": {act: writeCooling},
	})
	all["DELETE "+base+"pairing/auth-key"] = route{act: unpair}
	return all
}

func unknown(*call) (any, error) {
	return nil, refusal{http.StatusNotFound, "NOT_FOUND", "Not found"}
}

func start(c *call) (any, error) {
	c.state.start(c.m)
	return accepted("Mining started"), nil
}

func stop(c *call) (any, error) {
	c.state.stop(c.m)
	return accepted("Mining stopped"), nil
}

func reboot(c *call) (any, error) {
	c.m.CommandReboot(false)
	return accepted("Reboot initiated"), nil
}

// locate blinks for so many seconds.
func locate(c *call) (any, error) {
	if text := c.r.URL.Query().Get("led_on_time"); text != "" {
		if _, err := strconv.Atoi(text); err != nil {
			return nil, refusal{http.StatusBadRequest, "INVALID_REQUEST", "led_on_time must be an integer"}
		}
	}
	c.located = true
	return accepted("Locate sequence activated"), nil
}

// taken is said of what is not simulated.
func taken(*call) (any, error) { return message("Pools configured successfully"), nil }

// readTarget has no answer before the mining software is up.
func readTarget(c *call) (any, error) {
	if c.status(c.m.Now()) == "Uninitialized" {
		return nothing{}, nil
	}
	return object{
		"power_target_watts": c.target, "power_target_min_watts": c.lowest, "power_target_max_watts": c.highest,
		"default_power_target_watts": c.usual, "performance_mode": c.mode, "balance_bays": c.balance,
		"hash_on_disconnect": c.onDisconnect,
	}, nil
}

// writeTarget takes what is written and leaves what is not, all or nothing.
func writeTarget(c *call) (any, error) {
	var q struct {
		Watts        *int    `json:"power_target_watts"`
		Mode         *string `json:"performance_mode"`
		Balance      *bool   `json:"balance_bays"`
		OnDisconnect *bool   `json:"hash_on_disconnect"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if q.Watts != nil && (*q.Watts < c.lowest || *q.Watts > c.highest) {
		words := fmt.Sprintf("power_target_watts must be between %d and %d", c.lowest, c.highest)
		return nil, refusal{http.StatusUnprocessableEntity, "OUT_OF_RANGE", words}
	}
	if q.Mode != nil && *q.Mode != maximum && *q.Mode != efficiency {
		return nil, refusal{http.StatusUnprocessableEntity, "INVALID_PERFORMANCE_MODE", "Invalid performance_mode; expected MaximumHashrate or Efficiency"}
	}
	keep(&c.mode, q.Mode)
	keep(&c.balance, q.Balance)
	keep(&c.onDisconnect, q.OnDisconnect)
	if q.Watts != nil {
		c.aim(c.m, *q.Watts)
	}
	return readTarget(c)
}

// keep takes a value that was written.
func keep[T any](into *T, written *T) {
	if written != nil {
		*into = *written
	}
}

func readTuning(*call) (any, error) { return object{"algorithm": "None"}, nil }

// writeTuning is answered and changes nothing.
func writeTuning(c *call) (any, error) {
	var q struct{ Algorithm string }
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	switch q.Algorithm {
	case "None", "VoltageImbalanceCompensation", "Fuzzing":
		return object{"algorithm": q.Algorithm}, nil
	}
	return nil, refusal{http.StatusUnprocessableEntity, "INVALID_ALGORITHM", "Invalid tuning algorithm"}
}

func writeCooling(c *call) (any, error) {
	var q struct{ Mode string }
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	switch q.Mode {
	case "Auto", "Manual", "Off":
		c.fans = q.Mode
		return cooling(c)
	}
	return nil, refusal{http.StatusUnprocessableEntity, "INVALID_REQUEST", "Invalid cooling mode"}
}
