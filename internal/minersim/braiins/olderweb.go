package braiins

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// olderPage is all that is left of the pages: what discovery looks for.
const olderPage = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Braiins OS</title></head><body></body></html>
`

// sessionCookie is what a login gives.
const sessionCookie = "session_id"

// maxSessions is how many are known at once (assumed).
const maxSessions = 16

// maxForm bounds what a login by the pages may send.
const maxForm = 4 << 10

// olderPages are what the web server of an older machine has; there is no REST interface.
func olderPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", atMachine(func(*olderCall, http.ResponseWriter, *http.Request, []byte) any { return olderPage }))
	mux.HandleFunc("POST /graphql", atMachine(graphQL))
	mux.HandleFunc("POST /cgi-bin/luci", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		atMachine(luciLogin)(w, r)
	})
	mux.HandleFunc("GET /cgi-bin/luci/admin/network/iface_status/lan", atMachine(luciNetwork))
	return mux
}

// denied is an answer without a good session.
type denied struct{}

// atMachine runs an answer under the device's lock.
func atMachine(act func(*olderCall, http.ResponseWriter, *http.Request, []byte) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := overhttp.Device(r)
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "Payload Too Large", http.StatusRequestEntityTooLarge)
			return
		}
		var out any
		reachable := false
		d.Do(func(m *minersim.Machine) {
			if reachable = m.Reachable(); reachable {
				out = act(&olderCall{olderState: d.Memory().(*olderState), m: m, d: d}, w, r, body)
			}
		})
		if reachable && r.Method != http.MethodGet {
			d.Hold(r.Context().Done())
		}
		switch o := out.(type) {
		case nil:
			overhttp.HangUp(w)
		case denied:
			http.Error(w, "Forbidden", http.StatusForbidden)
		case string:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, o)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(out)
		}
	}
}

// login opens a session, if the password is right.
func (c *olderCall) login(w http.ResponseWriter, username, password string) bool {
	if !c.letsIn(username, password) {
		return false
	}
	if len(c.sessions) >= maxSessions {
		clear(c.sessions)
	}
	id := rand.Text()
	c.sessions[id] = true
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/"}) //nolint:gosec // as the machine sets it
	return true
}

func (c *olderCall) knows(r *http.Request) bool {
	sent, err := r.Cookie(sessionCookie)
	return err == nil && c.sessions[sent.Value]
}

func luciLogin(c *olderCall, w http.ResponseWriter, r *http.Request, body []byte) any {
	form, err := url.ParseQuery(string(body))
	if err != nil || !c.login(w, form.Get("luci_username"), form.Get("luci_password")) {
		return denied{}
	}
	return olderPage
}

func luciNetwork(c *olderCall, _ http.ResponseWriter, r *http.Request, _ []byte) any {
	if !c.knows(r) {
		return denied{}
	}
	return []object{{"macaddr": c.d.MAC}}
}

// errDenied is a mutation without a session (its words are assumed).
var errDenied = errors.New("unauthorized")

// variables of a query.
type variables struct {
	Username, Password string
	Limit              *int
}

func failed(err error) object {
	return object{"data": nil, "errors": []object{{"message": err.Error()}}}
}

// graphQL answers a query, which is for anybody, or a mutation, which wants a session but for the login.
func graphQL(c *olderCall, w http.ResponseWriter, r *http.Request, body []byte) any {
	var q struct {
		Query     string
		Variables json.RawMessage
	}
	if json.Unmarshal(body, &q) != nil {
		return failed(errQuery)
	}
	fields, err := parseQuery(q.Query)
	if err != nil {
		return failed(err)
	}
	var vars variables
	_ = json.Unmarshal(q.Variables, &vars) // what is no number is none
	if !mutation.MatchString(q.Query) {
		return object{"data": project(c.document(), fields)}
	}
	var wrong error
	all := c.mutations(w, vars, func(err error) any { wrong = err; return nil })
	if len(fields) > 0 && fields[0].name != "auth" && !c.knows(r) {
		return failed(errDenied)
	}
	c.contest(c.m)
	data := project(all, fields)
	if wrong != nil {
		return failed(wrong)
	}
	return object{"data": data}
}

var (
	mutation = regexp.MustCompile(`^\s*mutation\b`)
	// target is where a mutation names watts by themselves.
	target = regexp.MustCompile(`powerTarget\s*:\s*(\d{1,9})`)
)

// document is everything a query may ask for.
func (c *olderCall) document() object {
	return object{
		"bos": object{
			"hostname": "Antminer", "faultLight": c.locating, "uptime": object{"durationS": uptime(c.m)},
			"info": object{"version": object{"full": olderFull}},
		},
		"bosminer": object{
			"config": object{"groups": []object{{"id": "0", "strategy": object{"quota": 1}}}},
			"info": object{
				"modelName": c.model(), "fans": c.fansByName(), "workSolver": c.solver(),
				"summary": object{"power": object{"limitW": c.state.target, "approxConsumptionW": c.consumption()}},
				"poolGroups": []object{{"name": "Default", "pools": []object{{
					"url": "stratum+tcp://pool.example:3333", "user": "site.worker", "status": "Running", "active": c.running(c.m),
					"shares": object{"acceptedSolutions": uptime(c.m) / 9, "rejectedSolutions": 0},
				}}}},
			},
		},
		"events": object{"appeals": []object{}},
	}
}

func (c *olderCall) fansByName() []object {
	list := make([]object, 4)
	for i := range list {
		list[i] = object{"name": strconv.Itoa(i), "rpm": 65 * c.fanPercent(), "speed": c.fanPercent()}
	}
	return list
}

// solver is null while nothing runs, which clients take for a machine that does not mine.
func (c *olderCall) solver() any {
	if !c.running(c.m) {
		return nil
	}
	n := float64(c.m.Model.Boards)
	rate := c.mega(5e9)
	return object{
		"nominalMhs": c.nominal(), "realHashrate": object{"mhs5S": rate},
		"childSolvers": c.boards(func(id int) object {
			return object{
				"name": strconv.Itoa(id), "nominalMhs": c.nominal() / n, "realHashrate": object{"mhs5S": rate / n},
				"hwDetails":    object{"chips": c.m.Model.ChipsPerBoard, "frequencyMhz": c.megaHertz(), "voltageV": 13.457, "hbSerialNumber": c.d.Serial + strconv.Itoa(id)},
				"temperatures": []object{{"name": "MAX_BOARD", "degreesC": warmth(c.m)}, {"name": "MAX_CHIP", "degreesC": warmth(c.m) + 15}},
			}
		}),
	}
}

// mutations are what can be told.
func (c *olderCall) mutations(w http.ResponseWriter, vars variables, fail func(error) any) object {
	do := func(f func()) action { return func(string) any { f(); return object{"void": nil} } }
	return object{
		"auth": object{"login": action(func(string) any {
			if !c.login(w, vars.Username, vars.Password) {
				return fail(errDenied)
			}
			return object{"void": nil}
		})},
		"bos": object{
			"reboot": do(func() { c.m.CommandReboot(false) }), "factoryReset": do(func() { c.m.CommandReboot(true) }),
			"setFaultLight": action(func(string) any { c.locating = !c.locating; return object{"enabled": c.locating} }),
		},
		"bosminer": object{
			"stop": do(func() { c.olderState.pause(c.m) }), "start": do(func() { c.olderState.resume(c.m) }),
			"restart": do(func() { _ = c.olderState.retarget(c.m, c.state.target) }), // it is in range
			"config": object{"updateAutotuning": action(func(args string) any {
				watts := vars.Limit
				if found := target.FindStringSubmatch(args); found != nil {
					n, _ := strconv.Atoi(found[1])
					watts = &n
				}
				if watts == nil {
					return fail(errQuery)
				}
				if err := c.olderState.retarget(c.m, *watts); err != nil {
					return fail(err)
				}
				return object{"autotuning": object{"powerTarget": c.state.target, "enabled": true}}
			})},
		},
	}
}
