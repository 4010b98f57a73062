package wire

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/icholy/digest"
)

// guard is a server that lets in who answers its newest challenge, and notes what came with each request.
type guard struct {
	mu       sync.Mutex
	password string
	nonce    string
	scheme   string // of its challenge, where it is not Digest
	refusals string // a body that goes with 401
	seen     []string
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	how := "refused"
	answer, err := digest.ParseCredentials(r.Header.Get("Authorization"))
	switch {
	case r.Header.Get("Authorization") == "":
		how = "unsigned"
	case err == nil && answer.Nonce == g.nonce && g.right(r, answer):
		how = fmt.Sprintf("nc %d", answer.Nc)
	}
	g.seen = append(g.seen, strings.TrimSpace(r.Method+" "+string(body))+": "+how)
	if strings.HasPrefix(how, "nc") {
		_, _ = io.WriteString(w, "in")
		return
	}
	if g.scheme != "" {
		w.Header().Set("WWW-Authenticate", g.scheme)
	} else {
		w.Header().Set("WWW-Authenticate", `Digest realm="antMiner Configuration", nonce="`+g.nonce+`", qop="auth"`)
	}
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, g.refusals)
}

func (g *guard) right(r *http.Request, answer *digest.Credentials) bool {
	want, err := digest.Digest(&digest.Challenge{Realm: "antMiner Configuration", Nonce: g.nonce, QOP: []string{"auth"}}, digest.Options{
		Method: r.Method, URI: r.URL.RequestURI(), Cnonce: answer.Cnonce, Count: answer.Nc, Username: "root", Password: g.password,
	})
	return err == nil && want.Response == answer.Response && answer.Username == "root"
}

// through sends one request and says what came of it.
func through(t *testing.T, d *Digest, server *httptest.Server, method, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/cgi-bin/x.cgi?a=b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := d.RoundTrip(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if request.Header.Get("Authorization") != "" {
		t.Error("the request itself was changed")
	}
	return response.Status
}

func TestDigest(t *testing.T) {
	g := &guard{password: "s3cret", nonce: "one"}
	server := httptest.NewServer(g)
	defer server.Close()
	d := &Digest{Username: "root", Password: "s3cret"}
	var got []string
	for _, step := range []func(){
		func() {}, func() {},
		func() { g.nonce = "two" }, // the machine forgot its challenges
		func() { g.password = "changed" },
		func() { g.scheme = `Basic realm="x"` },
		func() { g.scheme = "Digest realm=\"a\", nonce=\"b\", algorithm=WORSE" },
	} {
		step()
		got = append(got, through(t, d, server, http.MethodPost, "body"))
	}
	const in, out = "200 OK", "401 Unauthorized"
	if diff := cmp.Diff([]string{in, in, in, out, out, out}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []string{
		"POST body: unsigned", "POST body: nc 1", "POST body: nc 2", "POST body: refused", "POST body: nc 1",
		"POST body: refused", "POST body: refused", "POST body: refused",
	}
	if diff := cmp.Diff(want, g.seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A machine that asks for another kind of answer gets none: a password in clear least of all.
func TestDigestAnswersNothingElse(t *testing.T) {
	for _, scheme := range []string{`Basic realm="antMiner Configuration"`, "Digest", "Digest realm", "NTLM", `Digest realm="a", nonce="b", qop="other"`} {
		g := &guard{scheme: scheme}
		server := httptest.NewServer(g)
		d := &Digest{Username: "root", Password: "s3cret"}
		if got := through(t, d, server, http.MethodGet, ""); got != "401 Unauthorized" || len(g.seen) != 1 || g.seen[0] != "GET: unsigned" {
			t.Errorf("%s: %s, %q", scheme, got, g.seen)
		}
		server.Close()
	}
}

// What comes with a refusal is not read to its end.
func TestDigestReadsLittleOfARefusal(t *testing.T) {
	flood := &counted{Reader: strings.NewReader(strings.Repeat("x", 1<<20))}
	calls := 0
	d := &Digest{Next: roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return &http.Response{
			StatusCode: http.StatusUnauthorized, Body: io.NopCloser(flood),
			Header: http.Header{"Www-Authenticate": {fmt.Sprintf(`Digest realm="a", nonce="%d"`, calls)}},
		}, nil
	})}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := d.RoundTrip(request) //nolint:bodyclose // there is no connection
	if err != nil || response.StatusCode != http.StatusUnauthorized || calls != 2 {
		t.Errorf("%v, %v after %d calls", response, err, calls)
	}
	if flood.read > longestChallenge {
		t.Errorf("%d bytes were read", flood.read)
	}
}

type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func FuzzDigest(f *testing.F) {
	f.Add(`Digest realm="antMiner Configuration", nonce="b1b1652793d3109e9b29f0c3a111ffe5", qop="auth"`)
	f.Add("Digest realm=\"a\nb\", nonce=\"\x00\", algorithm=SHA-256, userhash=true, qop=\"auth-int\"")
	f.Add(`Digest nonce=",,,`)
	f.Fuzz(func(t *testing.T, challenge string) {
		d := &Digest{Username: "root", Password: "s3cret", Next: roundTrip(func(r *http.Request) (*http.Response, error) {
			for _, value := range r.Header.Values("Authorization") {
				if !strings.HasPrefix(value, "Digest ") || strings.Contains(value, "s3cret") {
					t.Errorf("sent %q", value)
				}
			}
			return &http.Response{StatusCode: http.StatusUnauthorized, Body: http.NoBody, Header: http.Header{"Www-Authenticate": {challenge}}}, nil
		})}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://192.0.2.1/x", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		//nolint:bodyclose // there is no connection
		if response, err := d.RoundTrip(request); err != nil && (response != nil || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%v, %v", response, err)
		}
	})
}
