package braiins

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestTokenIsRefreshedOnce(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	m.expire()
	if _, err := d.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := m.taken()[:4]
	want := []string{"GET miner/details", "POST auth/login", "GET miner/details", "GET miner/stats"}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.expire()
	m.password = "changed"
	_, err := d.Read(t.Context())
	if !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
}

// A reading without a right to read is no reading with gaps.
func TestReadUnauthorized(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	m.fail("miner/stats", http.StatusUnauthorized)
	if _, err := d.Read(t.Context()); !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
}

// Credentials and tokens go to the machine's own address and to no other.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := s19xp()
	other := elsewhere.serve(t)
	m := s19xp()
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "http://"+other.Address.String()+":"+strconv.Itoa(other.Port)+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	if _, err := New(m.serve(t)).Identify(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v is no ErrNotThisFirmware", err)
	}
	if requests := elsewhere.taken(); len(requests) != 0 {
		t.Errorf("%v went elsewhere", requests)
	}
}

// A machine that says 401 to a token it has just given is asked no third time.
func TestTokenRefusedForever(t *testing.T) {
	m := s19xp()
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "auth/login") {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	d := New(m.serve(t))
	_, err := d.Identify(t.Context())
	if !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
	if requests := m.taken(); len(requests) != 2 {
		t.Errorf("sent %v", requests)
	}
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
	}{
		"wrong password":      {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized},
		"older than 25.07":    {func(m *machine) { m.statuses["auth/login"] = http.StatusMethodNotAllowed }, miner.ErrNotThisFirmware},
		"another web server":  {func(m *machine) { m.statuses["auth/login"] = http.StatusNotFound }, miner.ErrNotThisFirmware},
		"redirect":            {func(m *machine) { m.statuses["auth/login"] = http.StatusTemporaryRedirect }, miner.ErrNotThisFirmware},
		"details missing":     {func(m *machine) { delete(m.replies, "miner/details") }, miner.ErrNotThisFirmware},
		"details of no miner": {func(m *machine) { m.replies["miner/details"] = `{"firmware":"else"}` }, miner.ErrNotThisFirmware},
		"login without a token": {func(m *machine) {
			m.before = func(w http.ResponseWriter, r *http.Request) bool {
				login := strings.HasSuffix(r.URL.Path, "auth/login")
				if login {
					_, _ = w.Write([]byte(`{"ok":true}`))
				}
				return login
			}
		}, miner.ErrNotThisFirmware},
		"too many logins": {func(m *machine) { m.statuses["auth/login"] = http.StatusTooManyRequests }, miner.ErrRefused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			c.change(m)
			target := m.serve(t)
			target.Username, target.Password = "root", "s3cr3t-root"
			if name != "wrong password" {
				m.password = "s3cr3t-root"
			}
			_, err := New(target).Identify(t.Context())
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), target.Address.String()) {
				t.Errorf("error %q does not name the address", err)
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "token-") {
				t.Errorf("error %q tells a secret", err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := targetOf(t, listener.Addr().String())
	listener.Close()
	_, err = New(target).Identify(t.Context())
	if !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

func TestReplyTooLarge(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	m.set("miner/details", `{"a":"`+strings.Repeat("x", 1<<20)+`"}`)
	if _, err := d.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("error %v", err)
	}
}

func TestDeadlineIsObeyed(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	m.before = func(http.ResponseWriter, *http.Request) bool {
		cancel()
		<-release
		return true
	}
	if _, err := d.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is no context.Canceled", err)
	}
}
