package overhttp_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

var (
	root = overhttp.Account{Username: "root", Password: "secret"}
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

func hash(parts ...string) string {
	sum := md5.Sum([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(sum[:])
}

// ask makes a request; edit may spoil what a client that knows the password would send.
func ask(t *testing.T, d *overhttp.Digest, nonce string, now time.Time, edit func(map[string]string)) (bool, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/cgi-bin/stats.cgi?a=b", nil)
	if nonce != "" {
		f := map[string]string{
			"username": "root", "password": "secret", "realm": "here", "nonce": nonce, "uri": "/cgi-bin/stats.cgi?a=b",
			"cnonce": "0a4f113b", "nc": "00000001", "qop": "auth", "method": "GET",
		}
		edit(f)
		response := hash(hash(f["username"], f["realm"], f["password"]), f["nonce"], f["nc"], f["cnonce"], f["qop"], hash(f["method"], f["uri"]))
		r.Header.Set("Authorization", fmt.Sprintf(
			`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", qop=%s, nc=%s, cnonce="%s"`,
			f["username"], f["realm"], f["nonce"], f["uri"], response, f["qop"], f["nc"], f["cnonce"]))
	}
	w := httptest.NewRecorder()
	ok := d.Allows(w, r, root, now)
	if !ok && w.Code != http.StatusUnauthorized {
		t.Errorf("refused with %d", w.Code)
	}
	return ok, w.Header().Get("WWW-Authenticate")
}

func challenged(t *testing.T, d *overhttp.Digest, now time.Time) string {
	t.Helper()
	_, header := ask(t, d, "", now, nil)
	found := regexp.MustCompile(`^Digest realm="here", nonce="([0-9a-f]{32})", qop="auth"$`).FindStringSubmatch(header)
	if found == nil {
		t.Fatalf("challenge %s", header)
	}
	return found[1]
}

func asIs(map[string]string) {}

func TestDigestLetsInWhoKnowsThePassword(t *testing.T) {
	d := overhttp.NewDigest("here", "")
	nonce := challenged(t, d, noon)
	for range 2 {
		if ok, header := ask(t, d, nonce, noon, asIs); !ok || header != "" {
			t.Errorf("%t %s", ok, header)
		}
	}
	if ok, _ := ask(t, d, nonce, noon, func(f map[string]string) { f["nc"] = "0000002a" }); !ok {
		t.Error("a nonce is good for one request only")
	}
}

func TestDigestKeepsOutTheOthers(t *testing.T) {
	d := overhttp.NewDigest("here", "")
	nonce := challenged(t, d, noon)
	for name, edit := range map[string]func(map[string]string){
		"another password": func(f map[string]string) { f["password"] = "root" },
		"another user":     func(f map[string]string) { f["username"] = "admin" },
		"another realm":    func(f map[string]string) { f["realm"] = "there" },
		"another page":     func(f map[string]string) { f["uri"] = "/cgi-bin/reboot.cgi" },
		"another method":   func(f map[string]string) { f["method"] = "POST" },
		"another qop":      func(f map[string]string) { f["qop"] = "auth-int" },
		"no cnonce":        func(f map[string]string) { f["cnonce"] = "" },
		"a bad count":      func(f map[string]string) { f["nc"] = "many" },
	} {
		if ok, header := ask(t, d, nonce, noon, edit); ok || strings.Contains(header, "stale") {
			t.Errorf("%s: %t %s", name, ok, header)
		}
	}
}

// TestDigestNoncesAge: one that is old, or of another server, is stale to who knows the password.
func TestDigestNoncesAge(t *testing.T) {
	d := overhttp.NewDigest("here", "")
	nonce := challenged(t, d, noon)
	if ok, _ := ask(t, d, nonce, noon.Add(599*time.Second), asIs); !ok {
		t.Error("too old at 599 s")
	}
	foreign := challenged(t, overhttp.NewDigest("here", ""), noon)
	for name, c := range map[string]struct {
		nonce string
		now   time.Time
	}{
		"old": {nonce, noon.Add(600 * time.Second)}, "of the future": {nonce, noon.Add(-time.Second)}, "foreign": {foreign, noon},
		"short": {"abc", noon}, "no number": {strings.Repeat("z", 32), noon},
	} {
		if ok, header := ask(t, d, c.nonce, c.now, asIs); ok || !strings.HasSuffix(header, ", stale=true") {
			t.Errorf("%s: %t %s", name, ok, header)
		}
	}
	if ok, header := ask(t, d, nonce, noon.Add(time.Hour), func(f map[string]string) { f["password"] = "x" }); ok || strings.Contains(header, "stale") {
		t.Errorf("%t %s", ok, header)
	}
}

func TestDigestNamesItsAlgorithm(t *testing.T) {
	if _, header := ask(t, overhttp.NewDigest("here", "MD5"), "", noon, nil); !strings.Contains(header, `realm="here", algorithm=MD5, nonce=`) {
		t.Error(header)
	}
}

// FuzzDigest: what a header holds lets nobody in, and no header breaks the server.
func FuzzDigest(f *testing.F) {
	for _, seed := range []string{
		"", "Basic cm9vdDpyb290", "Digest ", `Digest username="root"`, `Digest username="root", nc=zz`, `Digest ,=,"`,
		`Digest username="root", realm="here", nonce="x", uri="/", response="", qop=auth, nc=00000001, cnonce="1"`,
	} {
		f.Add(seed)
	}
	d := overhttp.NewDigest("here", "MD5")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		if d.Allows(w, r, root, noon) || w.Code != http.StatusUnauthorized {
			t.Errorf("%q: %d", header, w.Code)
		}
	})
}
