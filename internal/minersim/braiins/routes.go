package braiins

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

const (
	needsToken = false
	openToAll  = true
)

// routes binds every path that is served. The vendor's document writes some paths with a slash
// at the end and recorded clients write none: both work.
func (f *Front) routes() http.Handler {
	mux := http.NewServeMux()
	add := func(open bool, pattern string, act func(*call) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v1/"+path, func(w http.ResponseWriter, r *http.Request) { f.do(w, r, open, act) })
	}
	add(openToAll, "GET version", version)
	add(openToAll, "POST auth/login", login)
	addActions(func(p string, act func(*call) (any, error)) { add(needsToken, p, act) })
	addPerformance(func(p string, act func(*call) (any, error)) { add(needsToken, p, act) })
	for path, act := range reads {
		add(needsToken, "GET "+path, act)
	}
	mux.HandleFunc("GET /api/v1/miner/status", f.stream)
	addPage(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) > 1 {
			r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
		}
		mux.ServeHTTP(w, r)
	})
}

func addActions(add func(string, func(*call) (any, error))) {
	action := func(name string, act func(*state, *minersim.Machine) bool) {
		add("PUT actions/"+name, func(c *call) (any, error) { return act(c.state, c.m), nil })
	}
	action("pause", (*state).pause)
	action("resume", (*state).resume)
	action("start", (*state).start)
	action("stop", (*state).stop)
	action("restart", (*state).restart)
	add("PUT actions/reboot", func(c *call) (any, error) {
		c.m.CommandReboot(false)
		return noContent{}, nil
	})
	add("PUT actions/factory-reset", func(c *call) (any, error) {
		c.m.CommandReboot(true)
		return noContent{}, nil
	})
	add("GET actions/locate", func(c *call) (any, error) { return c.locating, nil })
	add("PUT actions/locate", func(c *call) (any, error) {
		return c.locating, c.parse(&c.locating)
	})
}

func addPerformance(add func(string, func(*call) (any, error))) {
	add("PUT performance/power-target", func(c *call) (any, error) {
		var p power
		if err := c.parse(&p); err != nil {
			return nil, err
		}
		return c.retarget(p.Watt)
	})
	step := func(sign int) func(*call) (any, error) {
		return func(c *call) (any, error) {
			var p power
			if err := c.parse(&p); err != nil {
				return nil, err
			}
			return c.retarget(min(max(c.target+sign*p.Watt, c.min), c.max))
		}
	}
	add("PATCH performance/power-target/increment", step(1))
	add("PATCH performance/power-target/decrement", step(-1))
	add("PATCH performance/power-target/relative", relative)
	add("PUT performance/power-target/default", func(c *call) (any, error) { return c.retarget(c.initial) })
	add("PUT performance/quick-ramping", func(c *call) (any, error) {
		var q ramping
		if err := c.parse(&q); err != nil {
			return nil, err
		}
		if q.Up == nil || q.Down == nil || *q.Up < 0 || *q.Down < 0 {
			return nil, failure{http.StatusBadRequest, "up_s and down_s must be whole numbers, 0 or more"}
		}
		c.up, c.down = *q.Up, *q.Down
		return q, nil
	})
	add("PUT performance/quick-ramping/default", func(c *call) (any, error) {
		c.up, c.down = defaultUp, defaultDown
		return ramping{&c.up, &c.down}, nil
	})
}

type power struct {
	Watt int `json:"watt"`
}

type ramping struct {
	Up   *int `json:"up_s"`
	Down *int `json:"down_s"`
}

// parse reads the body into v or fails with 400.
func (c *call) parse(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return failure{http.StatusBadRequest, fmt.Sprintf("invalid body: %v", err)}
	}
	return nil
}

// retarget sets a power target and answers with the accepted one.
func (c *call) retarget(watts int) (any, error) {
	if err := c.setTarget(c.m, watts); err != nil {
		return nil, failure{http.StatusBadRequest, err.Error()}
	}
	return power{c.target}, nil
}

// relative sets a share of the nominal, least, largest or current target.
func relative(c *call) (any, error) {
	var q struct {
		Percentage float64 `json:"percentage"`
		Reference  int     `json:"reference"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	references := map[int]int{1: c.initial, 2: c.min, 3: c.max, 4: c.target}
	base, ok := references[q.Reference]
	if !ok {
		return nil, failure{http.StatusBadRequest, fmt.Sprintf("reference %d is not 1, 2, 3 or 4", q.Reference)}
	}
	return c.retarget(int(math.Round(float64(base) * q.Percentage / 100)))
}

func login(c *call) (any, error) {
	var q struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if !c.letsIn(q.Username, q.Password) {
		return nil, failure{http.StatusUnauthorized, "Unauthorized"}
	}
	token := rand.Text()[:16]
	c.tokens[token] = c.m.Now()
	return map[string]any{"token": token, "timeout_s": int(tokenIdle / time.Second)}, nil
}

// authorized refreshes a living token and forgets dead ones. The header carries the bare token;
// a scheme before it makes it another token, an unknown one.
func (st *state) authorized(token string, now time.Duration) bool {
	for t, used := range st.tokens {
		if now-used >= tokenIdle {
			delete(st.tokens, t)
		}
	}
	if _, ok := st.tokens[token]; !ok {
		return false
	}
	st.tokens[token] = now
	return true
}

// stream writes the status now and every second until one side goes away.
func (f *Front) stream(w http.ResponseWriter, r *http.Request) {
	d := overhttp.Device(r)
	started := false
	for {
		status, allowed, reachable := 0, false, false
		d.Do(func(m *minersim.Machine) {
			st := d.Memory().(*state)
			reachable = m.Reachable()
			allowed = started || st.authorized(r.Header.Get("Authorization"), m.Now())
			status = st.status
		})
		switch {
		case !reachable:
			overhttp.HangUp(w)
			return
		case !allowed:
			answer(w, nil, failure{http.StatusUnauthorized, "Unauthorized"})
			return
		}
		if !started {
			w.Header().Set("Content-Type", "application/json")
			started = true
		}
		if json.NewEncoder(w).Encode(map[string]int{"status": status}) != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-d.Clock().After(time.Second):
		case <-r.Context().Done():
			return
		}
	}
}
