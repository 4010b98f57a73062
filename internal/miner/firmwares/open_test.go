package firmwares

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/braiins"
	"github.com/counterweight-dev/counterweight/internal/miner/luxos"
)

const luxStatus = `"STATUS":[{"Code":22,"Description":"LUXminer 2025.4.8.220305","Msg":"ok","STATUS":"S"}],"id":1`

// rpc is a server of one reply per connection; it counts connections and remembers what it was sent.
type rpc struct {
	mu    sync.Mutex
	lines []string
	reply func(line string) string
}

func (s *rpc) serve(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				line, _ := bufio.NewReader(conn).ReadString('\n')
				s.mu.Lock()
				s.lines = append(s.lines, strings.TrimSpace(line))
				s.mu.Unlock()
				fmt.Fprint(conn, s.reply(line))
			}()
		}
	}()
	return int(netip.MustParseAddrPort(listener.Addr().String()).Port())
}

func lux(line string) string {
	if strings.Contains(line, "config") {
		return `{"CONFIG":[{"Model":"Antminer S21","MACAddr":"02:00:00:00:00:01","CurtailMode":"None"}],` + luxStatus + "}\x00"
	}
	return `{` + luxStatus + "}\x00"
}

// web is an HTTP server that remembers what it was asked and whether anybody sent credentials.
type web struct {
	mu       sync.Mutex
	requests []string
	secrets  bool
	handle   http.HandlerFunc
}

func (s *web) serve(t *testing.T) int {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		s.secrets = s.secrets || strings.Contains(string(body), "s3cr3t")
		s.mu.Unlock()
		s.handle(w, r)
	}))
	t.Cleanup(server.Close)
	return int(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
}

func bosWith(version http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/api/v1/") {
		case "version":
			version(w, r)
		case "auth/login":
			fmt.Fprint(w, `{"token":"t","timeout_s":3600}`)
		case "miner/details":
			fmt.Fprint(w, `{"status":2,"miner_identity":{"miner_model":"Antminer S21"},"mac_address":"02:00:00:00:00:02"}`)
		default:
			http.NotFound(w, r)
		}
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func unauthorized(challenge string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// closedPort is one where nobody listens.
func closedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return int(netip.MustParseAddrPort(listener.Addr().String()).Port())
}

func TestOpenAuto(t *testing.T) {
	cases := map[string]struct {
		rpc     func(string) string // nil: port closed
		web     http.HandlerFunc    // nil: port closed
		want    miner.Firmware
		err     error
		secrets bool // credentials may be sent
	}{
		"LuxOS":                         {rpc: lux, want: miner.LuxOS},
		"LuxOS with a web page":         {rpc: lux, web: says("<html>"), want: miner.LuxOS},
		"Braiins OS":                    {web: bosWith(says(`{"major":1,"minor":0,"patch":0}`)), want: miner.BraiinsOS, secrets: true},
		"Braiins OS, version by token":  {web: bosWith(unauthorized("")), want: miner.BraiinsOS, secrets: true},
		"Braiins OS with RPC":           {rpc: func(string) string { return `{"STATUS":[{"STATUS":"S","Description":"BOSminer+ 0.9"}]}` }, web: bosWith(says(`{"major":1}`)), want: miner.BraiinsOS, secrets: true},
		"stock Antminer":                {web: unauthorized(`Digest realm="antMiner Configuration"`), err: miner.ErrNotThisFirmware},
		"a printer":                     {web: says("<html>hello</html>"), err: miner.ErrNotThisFirmware},
		"an API with another version":   {web: says(`{"version":"2.0"}`), err: miner.ErrNotThisFirmware},
		"a cgminer":                     {rpc: func(string) string { return `STATUS=S,Msg=CGMiner|` }, err: miner.ErrNotThisFirmware},
		"nobody":                        {err: miner.ErrUnreachable},
		"HTTP where the RPC should be":  {rpc: func(string) string { return "HTTP/1.1 400 Bad Request\r\n\r\n" }, err: miner.ErrNotThisFirmware},
		"an API that says no and stops": {web: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, err: miner.ErrNotThisFirmware},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ports := map[string]int{"LuxOS": closedPort(t), "BraiinsOS": closedPort(t)}
			rpcServer, webServer := &rpc{reply: c.rpc}, &web{handle: c.web}
			if c.rpc != nil {
				ports["LuxOS"] = rpcServer.serve(t)
			}
			if c.web != nil {
				ports["BraiinsOS"] = webServer.serve(t)
			}
			target := miner.Target{Address: netip.MustParseAddr("127.0.0.1"), Username: "root", Password: "s3cr3t"}
			driver, identity, err := Open(t.Context(), target, miner.Auto, ports)
			if !errors.Is(err, c.err) || identity.Firmware != c.want || (driver == nil) != (err != nil) {
				t.Fatalf("driver %T, identity %+v, error %v", driver, identity, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("error %q tells a secret", err)
			}
			if webServer.secrets && !c.secrets {
				t.Error("credentials were sent to something else")
			}
			for _, request := range webServer.requests {
				if !strings.HasPrefix(request, "GET ") && request != "POST /api/v1/auth/login" {
					t.Errorf("sent %s", request)
				}
			}
			if c.err != nil && len(rpcServer.lines)+len(webServer.requests) > 2 {
				t.Errorf("asked %v and %v", rpcServer.lines, webServer.requests)
			}
		})
	}
}

func TestOpenNamed(t *testing.T) {
	target := miner.Target{Address: netip.MustParseAddr("127.0.0.1")}
	luxPort := (&rpc{reply: lux}).serve(t)
	driver, _, err := Open(t.Context(), target, miner.LuxOS, map[string]int{"LuxOS": luxPort})
	if _, ok := driver.(*luxos.Driver); !ok || err != nil {
		t.Errorf("driver %T, error %v", driver, err)
	}
	// The target's own port counts where the site maps none.
	target.Port = (&web{handle: bosWith(says(`{"major":1}`))}).serve(t)
	driver, _, err = Open(t.Context(), target, miner.BraiinsOS, nil)
	if _, ok := driver.(*braiins.Driver); !ok || err != nil {
		t.Errorf("driver %T, error %v", driver, err)
	}
	_, _, err = Open(t.Context(), target, miner.LuxOS, nil)
	if !errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("LuxOS on a web server: %v", err)
	}
	if _, _, err := Open(t.Context(), target, "Whatever", nil); !errors.Is(err, miner.ErrUnsupported) {
		t.Errorf("unknown firmware: %v", err)
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ports := map[string]int{"LuxOS": closedPort(t), "BraiinsOS": closedPort(t)}
	_, _, err := Open(ctx, miner.Target{Address: netip.MustParseAddr("127.0.0.1")}, miner.Auto, ports)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is no context.Canceled", err)
	}
}

func TestSupported(t *testing.T) {
	if diff := cmp.Diff([]miner.Firmware{miner.LuxOS, miner.BraiinsOS}, Supported()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
