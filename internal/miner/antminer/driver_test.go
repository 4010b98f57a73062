package antminer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

func TestIdentify(t *testing.T) {
	m := s21()
	d := m.serve(t)
	got, err := d.Identify(t.Context())
	want := miner.Identity{
		Firmware: miner.Antminer, FirmwareVersion: "Thu Apr 30 20:05:42 CST 2026", Model: "Antminer S21 Pro+",
		MAC: "02:50:53:09:da:d9", Serial: "SMTTATUBDJAAI00A5",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"GET get_miner_conf", "GET get_system_info", "GET stats", "GET summary"}, m.taken()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c := d.Capabilities()
	if !c.Sleep || c.SleepSurvivesReboot || c.Continuous || len(c.Modes) != 0 || c.NameplateWatts != 0 || c.NameplateTHs != 245 {
		t.Errorf("%+v", c)
	}
}

// One model is sold in several ratings: the table's is the least of them.
func TestRatings(t *testing.T) {
	for ideal, want := range map[string]int64{"104000.0": 3068, "110000.0": 3245, "1e300": 3068, "60000": 3068} {
		m := s21()
		m.pages["get_system_info"] = strings.Replace(system, "S21 Pro+", "S19j Pro", 1)
		m.pages["stats"] = strings.Replace(s21stats, `"rate_ideal":245000.0`, `"rate_ideal":`+ideal, 1)
		if c := identified(t, m).Capabilities(); c.NameplateWatts != want || c.NameplateTHs < 104 {
			t.Errorf("ideal %s GH/s: %d W, %.0f TH/s", ideal, c.NameplateWatts, c.NameplateTHs)
		}
	}
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
	}{
		"wrong password":         {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized},
		"no such page":           {func(m *machine) { delete(m.pages, "get_system_info"); delete(m.pages, "stats"); m.rpc = nil }, miner.ErrNotThisFirmware},
		"no page, another's RPC": {func(m *machine) { delete(m.pages, "get_system_info"); m.rpc["version"] = hiveonRPC }, miner.ErrNotThisFirmware},
		"a page of text":         {func(m *machine) { m.pages["get_system_info"] = "<html>" }, miner.ErrNotThisFirmware},
		"no Antminer":            {func(m *machine) { m.pages["get_system_info"] = `{"minertype":"Fluminer L1"}` }, miner.ErrNotThisFirmware},
		"Hiveon by its stats": {func(m *machine) {
			delete(m.pages, "get_system_info")
			m.pages["stats"] = strings.Replace(s21stats, "S21 Pro+", "S19 Hiveon", 1)
		}, miner.ErrNotThisFirmware},
		"Hiveon by its type":     {func(m *machine) { m.pages["get_system_info"] = `{"minertype":"Antminer S19x88 Hiveon"}` }, miner.ErrNotThisFirmware},
		"MaraFW by its RPC":      {func(m *machine) { m.rpc["version"] = strings.Replace(versionRPC, "1.0.0", "MaraFW rel 3.12_401", 2) }, miner.ErrNotThisFirmware},
		"a mining process down":  {func(m *machine) { m.pages["stats"] = "Socket connect failed: Connection refused\n" }, nil},
		"no configuration":       {func(m *machine) { m.conf = nil; m.pages["get_miner_conf"] = "" }, nil},
		"a model of 2019, mute":  {func(m *machine) { delete(m.pages, "stats") }, miner.ErrUnsupported},
		"its own trouble":        {func(m *machine) { m.statuses["get_system_info"] = http.StatusInternalServerError }, nil},
		"another firmware's 401": {func(m *machine) { m.before = basic }, miner.ErrUnauthorized},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s21()
			c.change(m)
			_, err := m.serve(t).Identify(t.Context())
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if c.want == nil && (errors.Is(err, miner.ErrNotThisFirmware) || errors.Is(err, miner.ErrUnreachable)) {
				t.Errorf("error %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "p00l")) {
				t.Errorf("error %v shows a secret", err)
			}
		})
	}
}

func basic(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := netip.MustParseAddrPort(server.Listener.Addr().String())
	server.Close()
	target := miner.Target{Address: address.Addr(), Port: int(address.Port())}
	d := New(target)
	if _, err := d.Identify(t.Context()); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("identify: %v", err)
	}
	if r, err := d.Read(t.Context()); !errors.Is(err, miner.ErrUnreachable) || r.State != "" {
		t.Errorf("read: %+v, %v", r, err)
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("apply: %v", err)
	}
	if err := Probe(t.Context(), target); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("probe: %v", err)
	}
}

func TestProbe(t *testing.T) {
	for challenge, want := range map[string]error{
		`Digest realm="antMiner Configuration", nonce="x", qop="auth"`:  miner.ErrPerhaps,
		`Digest realm="Antminer", nonce="x", algorithm=MD5, qop="auth"`: miner.ErrPerhaps,
		`Basic realm="antMiner Configuration"`:                          miner.ErrNotThisFirmware,
		`Digest realm="MaraFW", nonce="x", algorithm=MD5, qop="auth"`:   miner.ErrNotThisFirmware,
		"": miner.ErrNotThisFirmware,
	} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			if r.URL.Path != "/" && r.URL.Path != "/cgi-bin/get_system_info.cgi" || r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		address := netip.MustParseAddrPort(server.Listener.Addr().String())
		err := Probe(t.Context(), miner.Target{Address: address.Addr(), Port: int(address.Port()), SecondPort: 1, Password: secret})
		most := 1
		if errors.Is(want, miner.ErrNotThisFirmware) {
			most = 3 // the first page, the one that names the machine, and what may be an RPC on the same port
		}
		if !errors.Is(err, want) || asked > most {
			t.Errorf("%s: %v after %d requests", challenge, err, asked)
		}
		server.Close()
	}
}

// Whatever a machine sends, it is neither asleep nor told anything, and the caller gets an error in time.
func TestHostileMachines(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for name, text := range map[string]string{
		"deep JSON":   `{"STATUS":` + deep,
		"endless":     `{"STATUS":{"STATUS":"S"},"STATS":[{"x":"` + strings.Repeat("a", 2*wire.MaxReply) + `"}]}`,
		"NUL":         "{\"STATUS\":{\"STATUS\":\"S\x00\"}}",
		"wrong types": `{"STATUS":7,"STATS":"x","pools":7,"minertype":[],"SUMMARY":{"status":7}}`,
		"a list":      `[[],7]`,
		"gzip":        "\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"nothing":     "",
		"no mining":   `{"STATUS":{"STATUS":"E","Msg":"x"},"STATS":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := s21()
			d := identified(t, m)
			m.set(func() {
				m.pages = map[string]string{"get_system_info": text, "stats": text, "summary": text, "get_miner_conf": text}
				m.conf, m.rpc, m.power = nil, map[string]string{"stats": text, "version": text}, text
			})
			if r, err := d.Read(t.Context()); err == nil {
				t.Errorf("read %+v", r)
			}
			for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashMode}} {
				if err := d.Apply(t.Context(), s); err == nil {
					t.Errorf("%s: no error", s.Kind)
				}
			}
			if sent := m.orders(); len(sent) != 0 {
				t.Errorf("sent %q", sent)
			}
			if _, err := m.serve(t).Identify(t.Context()); err == nil {
				t.Error("identified")
			}
		})
	}
}

// A machine that takes a connection and says nothing holds nobody for longer than the caller's time.
func TestSilentMachine(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	address := netip.MustParseAddrPort(listener.Addr().String())
	d := New(miner.Target{Address: address.Addr(), Port: int(address.Port())})
	for name, call := range map[string]func(context.Context) error{
		"identify": func(ctx context.Context) error { _, err := d.Identify(ctx); return err },
		"read":     func(ctx context.Context) error { _, err := d.Read(ctx); return err },
		"apply":    func(ctx context.Context) error { return d.Apply(ctx, miner.Setting{Kind: miner.Sleep}) },
		"probe": func(ctx context.Context) error {
			return Probe(ctx, miner.Target{Address: address.Addr(), Port: int(address.Port())})
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) || miner.NotApplied(err) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
