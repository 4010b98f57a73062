package protorig

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

func TestIdentifyErrors(t *testing.T) {
	const first = `{"error":{"code":"DEFAULT_PASSWORD_ACTIVE","message":"Default password must be changed before accessing this resource"}}`
	cases := map[string]struct {
		change func(*machine)
		want   error
	}{
		"wrong password": {func(m *machine) { m.password = "other" }, miner.ErrUnauthorized},
		"a password that is too short": {func(m *machine) {
			m.refuses("auth/login", http.StatusBadRequest, `{"error":{"code":"INVALID_REQUEST"}}`)
		}, miner.ErrUnauthorized},
		"the first password":                {func(m *machine) { m.refuses("mining/target", http.StatusForbidden, first) }, miner.ErrLocked},
		"the first password, as text":       {func(m *machine) { m.refuses("mining/target", http.StatusForbidden, "default_password_active") }, miner.ErrLocked},
		"the first password at login":       {func(m *machine) { m.refuses("auth/login", http.StatusForbidden, first) }, miner.ErrLocked},
		"forbidden":                         {func(m *machine) { m.refuses("mining/target", http.StatusForbidden, `{"error":{"code":"X"}}`) }, miner.ErrUnauthorized},
		"too many logins":                   {func(m *machine) { m.Statuses["auth/login"] = http.StatusTooManyRequests }, miner.ErrRefused},
		"login without a token":             {func(m *machine) { m.refuses("auth/login", http.StatusOK, `{"access_token":{"a":1}}`) }, miner.ErrNotThisFirmware},
		"a login that says no in its reply": {func(m *machine) { m.refuses("auth/login", http.StatusOK, `{"error":"correct horse is wrong"}`) }, miner.ErrRefused},
		"another web server":                {func(m *machine) { delete(m.Replies, "system") }, miner.ErrNotThisFirmware},
		"a page":                            {func(m *machine) { m.Replies["system"] = wiretest.Page }, miner.ErrNotThisFirmware},
		"another make":                      {func(m *machine) { m.Replies["system"] = `{"system-info":{"manufacturer":"Else"}}` }, miner.ErrNotThisFirmware},
		"no login":                          {func(m *machine) { m.Statuses["auth/login"] = http.StatusNotFound }, miner.ErrNotThisFirmware},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := rig()
			c.change(m)
			d := open(t, m)
			_, err := d.Identify(t.Context())
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if text := err.Error(); strings.Contains(text, "correct horse") || strings.Contains(text, "token-") || !strings.Contains(text, "127.0.0.1") {
				t.Errorf("error %q", text)
			}
			if len(m.Commands()) > 1 {
				t.Error("it was told more than a login")
			}
		})
	}
}

// Trouble of the machine's own is no word about its make.
func TestOwnTrouble(t *testing.T) {
	m := rig()
	m.Statuses["system"] = http.StatusInternalServerError
	if _, err := open(t, m).Identify(t.Context()); err == nil || errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v", err)
	}
	if _, err := New(wiretest.Nobody(t)).Identify(t.Context()); !errors.Is(err, miner.ErrUnreachable) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

func TestTokenIsRefreshedOnce(t *testing.T) {
	m := rig()
	d := identified(t, m)
	m.Expire()
	if err := reads(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GET mining", "POST auth/login", "GET mining", "GET mining/target"}, m.Taken()[:4]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Expire()
	m.password = "changed"
	if err := reads(t.Context(), d); !errors.Is(err, miner.ErrUnauthorized) {
		t.Errorf("error %v is no ErrUnauthorized", err)
	}
}

// A reading without a right to read is no reading with gaps.
func TestReadUnauthorized(t *testing.T) {
	for _, path := range []string{"mining", "mining/target", "telemetry"} {
		m := rig()
		d := identified(t, m)
		m.Fail(path, http.StatusUnauthorized)
		if err := reads(t.Context(), d); !errors.Is(err, miner.ErrUnauthorized) {
			t.Errorf("%s: error %v is no ErrUnauthorized", path, err)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	wiretest.Redirects(t, func(target miner.Target) wiretest.Identifies { return New(target) })
}

func TestHostileReplies(t *testing.T) {
	wiretest.Hostile(t, "/mining", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		m := rig()
		d := identified(t, m)
		return &m.Machine, func(ctx context.Context) error { return reads(ctx, d) }
	})
}

func TestHostileIdentity(t *testing.T) {
	wiretest.Hostile(t, "/system", func(t *testing.T) (*wiretest.Machine, func(context.Context) error) {
		m := rig()
		target := wiretest.Serve(t, m)
		return &m.Machine, func(ctx context.Context) error { return Probe(ctx, target) }
	})
}

func TestDeadlineIsObeyed(t *testing.T) {
	m := rig()
	d := identified(t, m)
	wiretest.Silent(t, &m.Machine, func(ctx context.Context) error { return reads(ctx, d) })
}
