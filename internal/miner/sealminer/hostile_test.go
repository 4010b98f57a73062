package sealminer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestHostileMachines(t *testing.T) {
	cases := map[string]string{
		"deep JSON":           strings.Repeat("[", 100_000),
		"an endless reply":    `{"STATUS":"S","Msg":"` + strings.Repeat("a", 2<<20) + `"}`,
		"words without end":   strings.Repeat("RESTAR ", 1<<18),
		"a NUL in the middle": "{\"STATUS\":\"S\x00\",\"VERSION\":{}}",
		"NULs":                strings.Repeat("\x00", 1<<16),
		"a gzip":              "\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"HTTP":                "HTTP/1.1 400 Bad Request\r\n\r\n",
		"SSH":                 "SSH-2.0-dropbear\r\n",
		"wrong types":         `{"STATUS":7,"VERSION":[[]],"STATS":[7,{"PM State":[]}],"SUMMARY":"x","DEVDETAILS":{}}`,
	}
	for name, reply := range cases {
		t.Run(name, func(t *testing.T) {
			at := listen(t, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = io.WriteString(conn, reply)
			})
			d := New(miner.Target{Address: at.Addr(), Port: int(at.Port())})
			if _, err := d.Identify(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) || len(err.Error()) > 2000 {
				t.Errorf("identify: error of %d bytes: %.300v", len(err.Error()), err)
			}
			for _, order := range []func() error{
				func() error { return d.sleep(t.Context()) }, func() error { return d.client.restart(t.Context()) },
			} {
				if err := order(); err == nil || len(err.Error()) > 2000 {
					t.Errorf("order: %.300v", err)
				}
			}
		})
	}
}

// The web pages must not keep a limit waiting, nor be told the password again and again.
func TestHostilePages(t *testing.T) {
	for _, page := range []string{"login.php", "reboot.php"} {
		for name, answer := range map[string]http.HandlerFunc{
			"endless":       func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", 2<<20)) },
			"closes":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"unauthorized":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
			"an error":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			"a huge header": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", strings.Repeat("x", 1<<20)) },
		} {
			t.Run(page+" "+name, func(t *testing.T) {
				m := a2()
				d := identified(t, m)
				m.pages.Before = func(w http.ResponseWriter, r *http.Request) bool {
					meant := strings.HasSuffix(r.URL.Path, page)
					if meant {
						answer(w, r)
					}
					return meant
				}
				err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 2500})
				if err == nil || strings.Contains(err.Error(), secret) {
					t.Errorf("error %v", err)
				}
				// Without a login nothing is told; without a reboot the limit waits.
				if half := page == "reboot.php"; errors.Is(err, miner.ErrHalfApplied) != half || miner.NotApplied(err) == half {
					t.Errorf("error %v", err)
				}
				if _, pages := m.taken(); len(pages) > 4 {
					t.Errorf("pages %q", pages)
				}
			})
		}
	}
}

// A login without a cookie is no login.
func TestLoginWithoutACookie(t *testing.T) {
	d := identified(t, a2())
	pages := wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"state":0}`) }))
	d.web.Address = netip.AddrPortFrom(pages.Address, uint16(pages.Port))
	if err := d.web.reboot(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v", err)
	}
}

func TestCookies(t *testing.T) {
	header := http.Header{"Set-Cookie": {"PHPSESSID=abc; path=/; HttpOnly", "userLanguage=en", "odd", " ;x=1"}}
	if got := cookies(header); got != "PHPSESSID=abc;userLanguage=en" {
		t.Errorf("%q", got)
	}
	header["Set-Cookie"] = make([]string, 100)
	for i := range header["Set-Cookie"] {
		header["Set-Cookie"][i] = "a=b"
	}
	if got := strings.Count(cookies(header), "="); got != maxCookies {
		t.Errorf("%d cookies", got)
	}
}

// What is shown to the machine is its own cookie.
func TestSessionIsShown(t *testing.T) {
	d := identified(t, a2())
	var shown []string
	pages := wiretest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get("Cookie"))
		w.Header().Add("Set-Cookie", "PHPSESSID=abc; path=/")
		w.Header().Add("Set-Cookie", "username=seal")
	}))
	d.web.Address = netip.AddrPortFrom(pages.Address, uint16(pages.Port))
	if err := d.web.reboot(context.Background()); err != nil || len(shown) != 2 || shown[1] != "PHPSESSID=abc; username=seal" {
		t.Errorf("shown %q, %v", shown, err)
	}
}
