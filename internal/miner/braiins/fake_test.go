package braiins

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// machine is a tiny Braiins OS that replays recorded shapes.
type machine struct {
	mu       sync.Mutex
	replies  map[string]string // path -> body
	statuses map[string]int    // path -> status, where not 200
	password string
	tokens   int
	valid    string
	requests []string // "GET miner/stats"
	before   func(w http.ResponseWriter, r *http.Request) bool
}

// Recorded replies: 25.11 on an S19 XP whose firmware lowered its own target.
func s19xp() *machine {
	return &machine{
		password: "root",
		statuses: map[string]int{},
		replies: map[string]string{
			"version": `{"major":1,"minor":0,"patch":0}`,
			"miner/details": `{"uid":"u1","miner_identity":{"brand":1,"model":8,"name":"","miner_model":"Antminer S19 XP"},
				"platform":2,"bos_mode":3,"bos_version":{"current":"2025-11-26-0-ab12cd34-25.11-plus","major":"25.11","bos_plus":true},
				"hostname":"miner-1","mac_address":"7C:07:6A:11:22:33","system_uptime":"1d","system_uptime_s":86461,"bosminer_uptime_s":84000,
				"sticker_hashrate":{"gigahash_per_second":140000.0},"status":2,"serial_number":"JYZZAEABCJJAA01A2"}`,
			"miner/stats": `{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":114250.5},
				"last_1m":{"gigahash_per_second":114000.1}}},"power_stats":{"approximated_consumption":{"watt":2472},
				"efficiency":{"joule_per_terahash":21.6}}}`,
			"performance/tuner-state": `{"overall_tuner_state":2,"mode_state":{"powertargetmodestate":{"current_target":{"watt":2431},
				"profile":{"created":null,"target":{"watt":2431},"estimated_power_consumption":{"watt":2472}}}}}`,
			"configuration/constraints": `{"tuner_constraints":{"power_target":{"min":{"watt":945},"max":{"watt":5500},"default":{"watt":3031}}}}`,
			"configuration/miner":       `{"tuner":{"tuner_mode":1,"power_target":{"watt":3031}},"pool_groups":[]}`,
			"cooling/state":             `{"fans":[],"highest_temperature":{"location":1,"temperature":{"degree_c":78.5}}}`,
			"miner/errors":              `{"errors":[{"timestamp":"2025-12-01T10:00:00Z","message":"PSU shutdown detected","error_codes":[]}]}`,
			"actions/pause":             `true`,
			"actions/resume":            `true`,
			"actions/start":             `true`,
		},
	}
}

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + path
	if len(body) > 0 && path != "auth/login" {
		line += " " + string(body)
	}
	m.requests = append(m.requests, line)
	if m.before != nil && m.before(w, r) {
		return
	}
	if path == "auth/login" {
		m.login(w, r, body)
		return
	}
	if path != "version" && (m.valid == "" || r.Header.Get("Authorization") != m.valid) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if status := m.statuses[path]; status != 0 {
		w.WriteHeader(status)
		return
	}
	reply, ok := m.replies[path]
	if path == "performance/power-target" && !ok {
		reply, ok = string(body), true
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fmt.Fprint(w, reply)
}

func (m *machine) login(w http.ResponseWriter, r *http.Request, body []byte) {
	if status := m.statuses["auth/login"]; status != 0 {
		w.WriteHeader(status)
		return
	}
	var in struct{ Username, Password string }
	if json.Unmarshal(body, &in) != nil || r.Method != http.MethodPost || in.Username != "root" || in.Password != m.password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	m.tokens++
	m.valid = fmt.Sprintf("token-%d", m.tokens)
	fmt.Fprintf(w, `{"token":%q,"timeout_s":3600}`, m.valid)
}

// expire makes the token of the last login invalid.
func (m *machine) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.valid = "gone"
}

func (m *machine) set(path, reply string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replies[path] = reply
}

func (m *machine) fail(path string, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statuses[path] = status
}

// taken are the requests since the last call.
func (m *machine) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	requests := slices.Clone(m.requests)
	m.requests = nil
	return requests
}

// serve starts the machine and returns where it is.
func (m *machine) serve(t testing.TB) miner.Target {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return targetOf(t, server.Listener.Addr().String())
}

func targetOf(t testing.TB, address string) miner.Target {
	t.Helper()
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return miner.Target{Address: at.Addr(), Port: int(at.Port())}
}

// identified is a driver that knows its machine, and the machine with an empty list of requests.
func identified(t *testing.T, m *machine) *Driver {
	t.Helper()
	d := New(m.serve(t))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.taken()
	return d
}
