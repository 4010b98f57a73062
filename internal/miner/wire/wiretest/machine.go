// Package wiretest has what the tests of drivers over HTTP share: a machine that replays recorded
// replies, and what hostile ones do.
package wiretest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Machine is a tiny web server that replays what it was given. Its functions are called one at a time;
// change its fields before it serves, or by its methods.
type Machine struct {
	// Replies and Statuses go by "GET info", or by "info" whatever the method. What has no reply is a 404.
	Replies  map[string]string
	Statuses map[string]int // where not 200
	// Root is cut from the path of every request.
	Root string
	// Before may answer in the machine's stead: then it says true.
	Before func(w http.ResponseWriter, r *http.Request) bool
	// Act may answer before Replies does, and change them.
	Act func(key string, body []byte) (reply string, ok bool)

	// Login is the path that gives tokens, Open those that want none. No Login, no tokens.
	Login string
	Open  []string
	// Admit judges the body of a login, and says what to answer if token is given: a 200, or a refusal.
	Admit func(body []byte, token string) (status int, reply string)
	// Shown takes the token from a request.
	Shown func(header http.Header) string

	mu       sync.Mutex
	tokens   int
	valid    string
	requests []string // "GET summary", "POST settings {...}"
}

// ServeHTTP records the request, without the body of a login, and answers it.
func (m *Machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, m.Root)
	body, _ := io.ReadAll(r.Body)
	key := r.Method + " " + path
	line := key
	if len(body) > 0 && path != m.Login {
		line += " " + string(body)
	}
	m.requests = append(m.requests, line)
	if m.Before != nil && m.Before(w, r) {
		return
	}
	status, reply := m.answer(key, path, r, body)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, reply) //nolint:gosec // what a machine says goes to no browser
}

func (m *Machine) answer(key, path string, r *http.Request, body []byte) (int, string) {
	if m.locked(path) && (m.valid == "" || m.Shown(r.Header) != m.valid) {
		return http.StatusUnauthorized, ""
	}
	if status := m.Statuses[key] + m.Statuses[path]; status != 0 {
		return status, ""
	}
	if path == m.Login && path != "" {
		return m.admit(r.Method, body)
	}
	return m.reply(key, path, body)
}

func (m *Machine) reply(key, path string, body []byte) (int, string) {
	if m.Act != nil {
		if reply, ok := m.Act(key, body); ok {
			return http.StatusOK, reply
		}
	}
	for _, name := range []string{key, path} {
		if reply, ok := m.Replies[name]; ok {
			return http.StatusOK, reply
		}
	}
	return http.StatusNotFound, ""
}

// locked tells whether a path wants a token.
func (m *Machine) locked(path string) bool {
	return m.Login != "" && path != m.Login && !slices.Contains(m.Open, path)
}

func (m *Machine) admit(method string, body []byte) (int, string) {
	if method != http.MethodPost {
		return http.StatusMethodNotAllowed, ""
	}
	token := fmt.Sprintf("token-%d", m.tokens+1)
	status, reply := m.Admit(body, token)
	if status == http.StatusOK {
		m.tokens++
		m.valid = token
	}
	return status, reply
}

// Expire makes the token of the last login invalid.
func (m *Machine) Expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.valid = "gone"
}

// Set changes a reply.
func (m *Machine) Set(key, reply string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Replies[key] = reply
}

// Fail makes a request fail with a status; 0 ends that.
func (m *Machine) Fail(key string, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Statuses[key] = status
}

// Taken are the requests since the last call.
func (m *Machine) Taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	requests := m.requests
	m.requests = nil
	return requests
}

// Commands are the paths of the requests since the last call that are no GET, without their bodies.
func (m *Machine) Commands() []string {
	var paths []string
	for _, line := range m.Taken() {
		if words := strings.Fields(line); words[0] != http.MethodGet {
			paths = append(paths, words[1])
		}
	}
	return paths
}

// Serve starts a machine and returns where it is.
func Serve(t testing.TB, machine http.Handler) miner.Target {
	t.Helper()
	server := httptest.NewServer(machine)
	t.Cleanup(server.Close)
	return targetOf(t, server.Listener.Addr().String())
}

// Nobody is an address that refuses connections.
func Nobody(t testing.TB) miner.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return targetOf(t, listener.Addr().String())
}

func targetOf(t testing.TB, address string) miner.Target {
	t.Helper()
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return miner.Target{Address: at.Addr(), Port: int(at.Port())}
}
