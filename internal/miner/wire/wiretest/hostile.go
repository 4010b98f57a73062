package wiretest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Identifies is the part of a driver that Redirects uses.
type Identifies interface {
	Identify(ctx context.Context) (miner.Identity, error)
}

// Page is a web page of something that is no machine.
const Page = `<!DOCTYPE html><html lang="en"><head><title>Router</title></head><body></body></html>`

// Hostile serves, one after another, what no machine should send in reply to the requests whose path ends
// in suffix. ask must then end in an error, soon and in little memory.
func Hostile(t *testing.T, suffix string, begin func(t *testing.T) (m *Machine, ask func(context.Context) error)) {
	t.Helper()
	for name, reply := range hostile() {
		t.Run(name, func(t *testing.T) {
			m, ask := begin(t)
			m.mu.Lock()
			m.Before = func(w http.ResponseWriter, r *http.Request) bool {
				meant := strings.HasSuffix(r.URL.Path, suffix)
				if meant {
					reply(w, r)
				}
				return meant
			}
			m.mu.Unlock()
			err := ask(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			bounded := name == "too large" || name == "endless"
			if errors.Is(err, wire.ErrTooLarge) != bounded || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func hostile() map[string]http.HandlerFunc {
	var bomb bytes.Buffer
	squeeze := gzip.NewWriter(&bomb)
	_, _ = squeeze.Write(bytes.Repeat([]byte(" "), 64<<20))
	squeeze.Close()
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	return map[string]http.HandlerFunc{
		"too large": says(`{"a":"` + strings.Repeat("x", wire.MaxReply) + `"}`),
		"endless":   endless,
		"a gigabyte": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000000")
			fmt.Fprint(w, "{")
		},
		"deep":         says(strings.Repeat("[", 500_000)),
		"NUL":          says("{\"miner\":\x00{}}"),
		"cut short":    says(`{"miner":{`),
		"no JSON":      says(Page),
		"nothing":      says(""),
		"closes":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"huge headers": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	chunk := bytes.Repeat([]byte(" "), 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// Redirects lets a machine send every request elsewhere: credentials and tokens go to the machine's own
// address and to no other.
func Redirects(t *testing.T, open func(miner.Target) Identifies) {
	t.Helper()
	asked := false
	other := Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	target := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+other.Address.String()+":"+strconv.Itoa(other.Port)+r.URL.Path, http.StatusTemporaryRedirect) //nolint:gosec // that is what it is for
	}))
	if _, err := open(target).Identify(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v is no ErrNotThisFirmware", err)
	}
	if asked {
		t.Error("a request went elsewhere")
	}
}

// Silent lets a machine take a request and not answer it: ask must end with its context.
func Silent(t *testing.T, m *Machine, ask func(context.Context) error) {
	t.Helper()
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	m.mu.Lock()
	m.Before = func(http.ResponseWriter, *http.Request) bool {
		cancel()
		<-release
		return true
	}
	m.mu.Unlock()
	if err := ask(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is no context.Canceled", err)
	}
}
