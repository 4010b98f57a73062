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
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/braiins"
	"github.com/counterweight-dev/counterweight/internal/miner/luxos"
	"github.com/counterweight-dev/counterweight/internal/miner/vnish"
	"github.com/counterweight-dev/counterweight/internal/miner/whatsminer"
)

const luxStatus = `"STATUS":[{"Code":22,"Description":"LUXminer 2025.4.8.220305","Msg":"ok","STATUS":"S"}],"id":1`

// rpc is a server of one reply per connection; it counts connections and remembers what it was sent. What
// listens 405 ports above it, where a WhatsMiner has its second API, hangs up.
type rpc struct {
	mu    sync.Mutex
	lines []string
	reply func(line string) string
}

func (s *rpc) serve(t *testing.T) int {
	t.Helper()
	listener, port := listenTwice(t)
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
	return port
}

// listenTwice listens where the port 405 above is free as well, and hangs up there.
func listenTwice(t *testing.T) (net.Listener, int) {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := int(netip.MustParseAddrPort(listener.Addr().String()).Port())
		above, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+405))
		if err != nil {
			listener.Close()
			continue
		}
		t.Cleanup(func() { listener.Close(); above.Close() })
		go func() {
			for {
				conn, err := above.Accept()
				if err != nil {
					return
				}
				conn.Close()
			}
		}()
		return listener, port
	}
	t.Fatal("no two free ports 405 apart")
	return nil, 0
}

func lux(line string) string {
	if strings.Contains(line, "config") {
		return `{"CONFIG":[{"Model":"Antminer S21","MACAddr":"02:00:00:00:00:01","CurtailMode":"None"}],` + luxStatus + "}\x00"
	}
	return `{` + luxStatus + "}\x00"
}

// whats is a WhatsMiner of API v2.
func whats(line string) string {
	const yes = `{"STATUS":"S","When":1,"Code":131,"Description":"","Msg":`
	switch {
	case strings.Contains(line, "get_version"):
		return yes + `{"api_ver":"2.0.5","fw_ver":"20240624.18.REL"}}` + "\x00"
	case strings.Contains(line, "get_miner_info"):
		return yes + `{"mac":"02:00:00:00:00:03"}}` + "\x00"
	case strings.Contains(line, "status"):
		return yes + `{"mineroff":"false"}}` + "\x00"
	}
	return `{"STATUS":"E","When":1,"Code":14,"Msg":"invalid cmd","Description":""}` + "\x00"
}

// canaan is an Avalon.
func canaan(line string) string {
	const yes = `{"STATUS":[{"STATUS":"S","Code":22,"Description":"cgminer 4.11.1"}],`
	switch {
	case strings.Contains(line, "stats"):
		return yes + `"STATS":[{"MM ID0":"SYSTEMSTATU[Work: In Work] GHSspd[199241.07] SoftOFF[0]"}]}` + "\x00"
	case strings.Contains(line, `"version"`):
		return yes + `"VERSION":[{"PROD":"AvalonMiner 15-194","MAC":"020000000004"}]}` + "\x00"
	}
	return `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command","Description":"cgminer 4.11.1"}]}` + "\x00"
}

// seal is a SealMiner.
func seal(line string) string {
	const yes = `{"STATUS":[{"STATUS":"S","Code":22,"Description":"bdminer 4.11.1"}],`
	switch {
	case strings.Contains(line, "stats"):
		return yes + `"STATS":[{"PM State":"Running","Power Limit":3500,"MAC":"02:00:00:00:00:05"}]}` + "\x00"
	case strings.Contains(line, `"version"`):
		return yes + `"VERSION":[{"BDMiner":"4.11.1"}]}` + "\x00"
	}
	return `{"STATUS":[{"STATUS":"E","Code":14,"Msg":"Invalid command","Description":"bdminer 4.11.1"}]}` + "\x00"
}

const bitaxe = `{"ASICModel":"BM1370","deviceModel":"Gamma","version":"v2.14.0","hashRate":1072.2,"macAddr":"02:00:00:00:00:06"}`

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

// vnishWith is a VNish machine whose API says what it wants to "GET version", which it does not know.
func vnishWith(version int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		replies := map[string]string{
			"/":               `<html><head><meta name="firmware" content="AnthillOS"></head></html>`,
			"/api/v1/info":    `{"miner":"Antminer S21","fw_name":"Vnish","fw_version":"1.2.7","system":{"network_status":{"mac":"02:00:00:00:00:03"}}}`,
			"/api/v1/unlock":  `{"token":"t"}`,
			"/api/v1/version": "",
		}
		reply, ok := replies[r.URL.Path]
		switch {
		case reply == "" && ok:
			w.WriteHeader(version)
		case !ok:
			http.NotFound(w, r)
		default:
			fmt.Fprint(w, reply)
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

// nobody has every firmware looked for where nothing answers.
func nobody(t *testing.T) map[string]int {
	ports := map[string]int{}
	for _, name := range PortNames() {
		ports[name] = closedPort(t)
	}
	return ports
}

// alike has some firmwares looked for at one port, as those are that have their own in common.
func alike(ports map[string]int, port int, firmwares ...miner.Firmware) {
	for _, f := range firmwares {
		ports[string(f)] = port
	}
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
		"VNish":                         {web: vnishWith(http.StatusNotFound), want: miner.VNish, secrets: true},
		"VNish that wants a token":      {web: vnishWith(http.StatusUnauthorized), want: miner.VNish, secrets: true},
		"stock Antminer":                {web: unauthorized(`Digest realm="antMiner Configuration"`), err: miner.ErrNotThisFirmware},
		"a printer":                     {web: says("<html>hello</html>"), err: miner.ErrNotThisFirmware},
		"an API with another version":   {web: says(`{"version":"2.0"}`), err: miner.ErrNotThisFirmware},
		"a cgminer":                     {rpc: func(string) string { return `STATUS=S,Msg=CGMiner|` }, err: miner.ErrNotThisFirmware},
		"WhatsMiner":                    {rpc: whats, want: miner.WhatsMiner},
		"Avalon":                        {rpc: canaan, want: miner.Avalon},
		"SealMiner":                     {rpc: seal, want: miner.SealMiner},
		"AxeOS":                         {web: says(bitaxe), want: miner.AxeOS},
		"WhatsMiner with a web page":    {rpc: whats, web: says("<html>"), want: miner.WhatsMiner},
		"nobody":                        {err: miner.ErrUnreachable},
		"HTTP where the RPC should be":  {rpc: func(string) string { return "HTTP/1.1 400 Bad Request\r\n\r\n" }, err: miner.ErrNotThisFirmware},
		"an API that says no and stops": {web: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, err: miner.ErrNotThisFirmware},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ports := nobody(t)
			rpcServer, webServer := &rpc{reply: c.rpc}, &web{handle: c.web}
			if c.rpc != nil {
				alike(ports, rpcServer.serve(t), miner.LuxOS, miner.WhatsMiner, miner.Avalon, miner.SealMiner) // all on 4028
			}
			if c.web != nil {
				alike(ports, webServer.serve(t), miner.BraiinsOS, miner.VNish, miner.AxeOS) // all on port 80
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
				if !strings.HasPrefix(request, "GET ") && request != "POST /api/v1/auth/login" && request != "POST /api/v1/unlock" {
					t.Errorf("sent %s", request)
				}
			}
			if c.err != nil && (len(rpcServer.lines) > len(known) || len(webServer.requests) > len(known)) {
				t.Errorf("asked %v and %v", rpcServer.lines, webServer.requests)
			}
		})
	}
}

// A Braiins OS without the REST API is told by its mining program, where others have theirs too.
func TestOpenOlderBraiins(t *testing.T) {
	program := &rpc{reply: func(line string) string {
		return `{"STATUS":[{"STATUS":"S","Code":22,"Msg":"BOSer versions","Description":"BOSer boser-buildroot 0.1.0-75912fc7"}],"id":1}`
	}}
	ports := nobody(t)
	alike(ports, program.serve(t), miner.LuxOS, miner.WhatsMiner, miner.Avalon, miner.SealMiner, "BraiinsOSRPC")
	ports["BraiinsOS"] = (&web{handle: http.NotFound}).serve(t)
	driver, identity, err := Open(t.Context(), miner.Target{Address: netip.MustParseAddr("127.0.0.1")}, miner.Auto, ports)
	if err != nil || identity.Firmware != miner.BraiinsOS || driver.Capabilities().Sleep {
		t.Errorf("%+v, %v", identity, err)
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
	target.Port = (&web{handle: vnishWith(http.StatusNotFound)}).serve(t)
	driver, _, err = Open(t.Context(), target, miner.VNish, nil)
	if _, ok := driver.(*vnish.Driver); !ok || err != nil {
		t.Errorf("driver %T, error %v", driver, err)
	}
	target.Port = (&rpc{reply: whats}).serve(t)
	driver, _, err = Open(t.Context(), target, miner.WhatsMiner, nil)
	if _, ok := driver.(*whatsminer.Driver); !ok || err != nil {
		t.Errorf("driver %T, error %v", driver, err)
	}
	target.Port = (&web{handle: says("<html>")}).serve(t)
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
	ports := nobody(t)
	_, _, err := Open(ctx, miner.Target{Address: netip.MustParseAddr("127.0.0.1")}, miner.Auto, ports)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is no context.Canceled", err)
	}
}

// TestSupported: the API takes the names of those that have a driver, and no other.
func TestSupported(t *testing.T) {
	var named []miner.Firmware
	for _, f := range powerv1.Firmwares() {
		named = append(named, miner.Firmware(f))
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(Supported())), slices.Sorted(slices.Values(named))); diff != "" {
		t.Errorf("the API's (-drivers +API):\n%s", diff)
	}
}
