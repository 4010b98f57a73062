package wiretest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Kept serves what was kept of a machine: replies below root, by "GET info" or by "info", and nothing else. There is no
// login, and nobody asks for one.
func Kept(t testing.TB, root string, replies map[string]string) miner.Target {
	t.Helper()
	return Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, below := strings.CutPrefix(r.URL.Path, root)
		reply, known := replies["GET "+path]
		if !known {
			reply, known = replies[path]
		}
		if !known || !below || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, reply)
	}))
}
