package braiins

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestTokenIsRefreshedOnce(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	m.Expire()
	if _, err := d.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := m.Taken()[:4]
	want := []string{"GET miner/details", "POST auth/login", "GET miner/details", "GET miner/stats"}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Expire()
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
	m.Fail("miner/stats", http.StatusUnauthorized)
	if _, err := d.Read(t.Context()); !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
}

// Credentials and tokens go to the machine's own address and to no other.
func TestRedirectIsNotFollowed(t *testing.T) {
	wiretest.Redirects(t, func(target miner.Target) wiretest.Identifies { return New(target) })
}

// A machine that says 401 to a token it has just given is asked no third time.
func TestTokenRefusedForever(t *testing.T) {
	m := s19xp()
	m.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "auth/login") {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	d := New(wiretest.Serve(t, m))
	_, err := d.Identify(t.Context())
	if !errors.Is(err, miner.ErrToken) {
		t.Errorf("error %v is no ErrToken", err)
	}
	if requests := m.Taken(); len(requests) != 2 {
		t.Errorf("sent %v", requests)
	}
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
	}{
		"wrong password":      {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized},
		"older than 25.07":    {func(m *machine) { m.Statuses["auth/login"] = http.StatusMethodNotAllowed }, miner.ErrNotThisFirmware},
		"another web server":  {func(m *machine) { m.Statuses["auth/login"] = http.StatusNotFound }, miner.ErrNotThisFirmware},
		"redirect":            {func(m *machine) { m.Statuses["auth/login"] = http.StatusTemporaryRedirect }, miner.ErrNotThisFirmware},
		"details missing":     {func(m *machine) { delete(m.Replies, "miner/details") }, miner.ErrNotThisFirmware},
		"details of no miner": {func(m *machine) { m.Replies["miner/details"] = `{"firmware":"else"}` }, miner.ErrNotThisFirmware},
		"login without a token": {func(m *machine) {
			m.Before = func(w http.ResponseWriter, r *http.Request) bool {
				login := strings.HasSuffix(r.URL.Path, "auth/login")
				if login {
					_, _ = w.Write([]byte(`{"ok":true}`))
				}
				return login
			}
		}, miner.ErrNotThisFirmware},
		"too many logins": {func(m *machine) { m.Statuses["auth/login"] = http.StatusTooManyRequests }, miner.ErrRefused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			c.change(m)
			target := wiretest.Serve(t, m)
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
	_, err := New(wiretest.Nobody(t)).Identify(t.Context())
	if !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

func TestHostileReplies(t *testing.T) {
	wiretest.Hostile(t, "/miner/details", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		m := s19xp()
		d := identified(t, m)
		return &m.Machine, func(ctx context.Context) error { return reads(ctx, d) }
	})
}

func reads(ctx context.Context, d *Driver) error {
	_, err := d.Read(ctx)
	return err
}

func TestDeadlineIsObeyed(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	wiretest.Silent(t, &m.Machine, func(ctx context.Context) error { return reads(ctx, d) })
}
