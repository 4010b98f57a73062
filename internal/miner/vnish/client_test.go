package vnish

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

func TestTokenIsRefreshedOnce(t *testing.T) {
	for name, status := range map[string]int{"401": http.StatusUnauthorized, "403": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			m := s21pro()
			d := identified(t, m)
			m.Expire()
			m.Before = func(w http.ResponseWriter, r *http.Request) bool {
				old := r.Header.Get("Authorization") == "Bearer token-1"
				if old {
					w.WriteHeader(status)
				}
				return old
			}
			if _, err := d.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := []string{"GET summary", "POST unlock", "GET summary", "GET perf-summary"}
			if diff := cmp.Diff(want, m.Taken()[:4]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			m.Before = nil
			m.Expire()
			m.password = "changed"
			if _, err := d.Read(t.Context()); !errors.Is(err, miner.ErrUnauthorized) {
				t.Errorf("error %v is no ErrUnauthorized", err)
			}
		})
	}
}

// A machine that says 401 to a token it has just given is asked no third time.
func TestTokenRefusedForever(t *testing.T) {
	m := s21pro()
	m.Fail("GET settings", http.StatusUnauthorized)
	d := New(wiretest.Serve(t, m))
	for range 2 { // nor is the token kept
		if _, err := d.Identify(t.Context()); !errors.Is(err, miner.ErrUnauthorized) {
			t.Errorf("error %v is no ErrUnauthorized", err)
		}
		if diff := cmp.Diff([]string{"GET info", "POST unlock", "GET settings"}, m.Taken()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// A machine that had too many logins is left alone, longer each time, and told apart from one that
// refuses the password.
func TestTooManyLogins(t *testing.T) {
	m := s21pro()
	d := identified(t, m)
	now := time.Unix(1e9, 0)
	d.client.now = func() time.Time { return now }
	m.Expire()
	m.Fail("POST unlock", http.StatusTooManyRequests)
	logins := func() int {
		t.Helper()
		_, err := d.Read(t.Context())
		if !errors.Is(err, miner.ErrBusy) || !miner.NotApplied(err) || errors.Is(err, miner.ErrUnauthorized) {
			t.Fatalf("error %v", err)
		}
		return strings.Count(strings.Join(m.Taken(), "\n"), "unlock")
	}
	var got []int
	for _, step := range []time.Duration{0, 29 * time.Second, time.Second, 59 * time.Second, time.Second} {
		now = now.Add(step)
		got = append(got, logins())
	}
	if diff := cmp.Diff([]int{1, 0, 1, 0, 1}, got); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
	for range 9 {
		now = now.Add(longestWait)
		if logins() != 1 {
			t.Error("the wait grew over its bound")
		}
	}
	now = now.Add(longestWait)
	m.Fail("POST unlock", 0)
	if _, err := d.Read(t.Context()); err != nil {
		t.Error(err)
	}
	if d.client.wait != 0 {
		t.Error("a login that worked did not end the wait")
	}
}

// A 429 to anything else is no refusal of credentials either.
func TestTooManyRequests(t *testing.T) {
	m := s21pro()
	d := identified(t, m)
	m.Fail("POST mining/stop", http.StatusTooManyRequests)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); !errors.Is(err, miner.ErrBusy) {
		t.Errorf("error %v is no ErrBusy", err)
	}
}

// Credentials and tokens go to the machine's own address and to no other.
func TestRedirectIsNotFollowed(t *testing.T) {
	wiretest.Redirects(t, func(target miner.Target) wiretest.Identifies { return New(target) })
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]struct {
		change func(*machine)
		want   error
		login  bool
	}{
		"wrong password":        {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized, true},
		"too many logins":       {func(m *machine) { m.Statuses["POST unlock"] = http.StatusTooManyRequests }, miner.ErrBusy, true},
		"login in trouble":      {func(m *machine) { m.Statuses["POST unlock"] = http.StatusInternalServerError }, miner.ErrRefused, true},
		"no login":              {func(m *machine) { m.Statuses["POST unlock"] = http.StatusNotFound }, miner.ErrNotThisFirmware, true},
		"login without a token": {func(m *machine) { m.Before = unlocks(`{"ok":true}`) }, miner.ErrNotThisFirmware, true},
		"token of two lines":    {func(m *machine) { m.Before = unlocks(`{"token":"token-\r\nX-Evil: 1"}`) }, miner.ErrNotThisFirmware, true},
		"endless token": {func(m *machine) { m.Before = unlocks(`{"token":"token-` + strings.Repeat("x", 4096) + `"}`) },
			miner.ErrNotThisFirmware, true},
		"another web server":     {func(m *machine) { delete(m.Replies, "GET info") }, miner.ErrNotThisFirmware, false},
		"stock Antminer":         {func(m *machine) { m.Statuses["GET info"] = http.StatusUnauthorized }, miner.ErrNotThisFirmware, false},
		"a page for everything":  {func(m *machine) { m.Replies["GET info"] = page }, miner.ErrNotThisFirmware, false},
		"info of something else": {func(m *machine) { m.Replies["GET info"] = `{"version":"2"}` }, miner.ErrNotThisFirmware, false},
		"older than 1.2": {func(m *machine) {
			m.Replies["GET info"] = strings.Replace(m.Replies["GET info"], "1.2.7", "1.1.9", 1)
		}, miner.ErrVersion, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s21pro()
			m.password = "s3cr3t"
			c.change(m)
			target := wiretest.Serve(t, m)
			target.Username, target.Password = "root", "s3cr3t"
			_, err := New(target).Identify(t.Context())
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if errors.Is(err, miner.ErrUnauthorized) != errors.Is(c.want, miner.ErrUnauthorized) {
				t.Errorf("error %v reads as a refused password", err)
			}
			if !strings.Contains(err.Error(), target.Address.String()) {
				t.Errorf("error %q does not name the address", err)
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "token-") {
				t.Errorf("error %q tells a secret", err)
			}
			if asked := strings.Contains(strings.Join(m.Taken(), " "), "unlock"); asked != c.login {
				t.Errorf("sent the password: %v", asked)
			}
		})
	}
}

// unlocks answers a login in its own way.
func unlocks(body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		login := strings.HasSuffix(r.URL.Path, "unlock")
		if login {
			_, _ = w.Write([]byte(body))
		}
		return login
	}
}

func TestIdentifyInTrouble(t *testing.T) {
	m := s21pro()
	m.Fail("GET info", http.StatusInternalServerError)
	if _, err := New(wiretest.Serve(t, m)).Identify(t.Context()); err == nil || errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	target := wiretest.Nobody(t)
	if _, err := New(target).Identify(t.Context()); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
	if err := Probe(t.Context(), target); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

// Whatever a hostile machine sends, a reading ends in an error, soon and in little memory.
func TestHostileReplies(t *testing.T) {
	wiretest.Hostile(t, "/summary", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		m := s21pro()
		d := identified(t, m)
		return &m.Machine, func(ctx context.Context) error { return reads(ctx, d) }
	})
}

func reads(ctx context.Context, d *Driver) error {
	_, err := d.Read(ctx)
	return err
}

func TestDeadlineIsObeyed(t *testing.T) {
	m := s21pro()
	d := identified(t, m)
	wiretest.Silent(t, &m.Machine, func(ctx context.Context) error { return reads(ctx, d) })
}

func TestProbe(t *testing.T) {
	cases := map[string]struct {
		page string
		want error
	}{
		"recorded":            {page, nil},
		"the other way round": {`<META content='anthillos' name='FIRMWARE'>`, nil},
		"named in the text":   {`<html><p>how to leave AnthillOS firmware</p>`, miner.ErrNotThisFirmware},
		"another firmware":    {`<meta name="firmware" content="LuxOS">`, miner.ErrNotThisFirmware},
		"another tag":         {`<meta name="description" content="how to leave AnthillOS">`, miner.ErrNotThisFirmware},
		"far down":            {strings.Repeat(" ", 32<<10) + page, miner.ErrNotThisFirmware},
		"nothing":             {``, miner.ErrNotThisFirmware},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s21pro()
			m.Replies["GET /"] = c.page
			asked := []string{"GET /"}
			if c.want != nil {
				asked = append(asked, "GET info")
				m.Replies["GET info"] = `{"miner":"Antminer S19"}`
			}
			if err := Probe(t.Context(), wiretest.Serve(t, m)); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if diff := cmp.Diff(asked, m.Taken()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	m := s21pro()
	m.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(page))
		return true
	}
	if err := Probe(t.Context(), wiretest.Serve(t, m)); !errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v", err)
	}
}
