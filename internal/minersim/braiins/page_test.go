package braiins_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// What others ask before they know what a machine is: its page, and the model and the release without a login.
func TestPage(t *testing.T) {
	r := start(t)
	ask := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.d.Address.String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			return "no answer"
		}
		defer func() { _ = reply.Body.Close() }()
		out, _ := io.ReadAll(reply.Body)
		return reply.Status + " " + strings.TrimSpace(string(out))
	}
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/", "", "<title>Braiins OS</title>"},
		{"POST", "/graphql", `{"query":"{ bosminer { info { modelName } } }"}`, `200 OK {"data":{"bosminer":{"info":{"modelName":"Antminer S21"}}}}`},
		{"POST", "/graphql", `{"query":"{ bos { info { version { full } } } }"}`, `{"full":"2026-04-14-0-912d084c-26.04-plus"}`},
		{"POST", "/graphql", `{"query":"{ bos { uname } }"}`, `"errors"`},
		{"POST", "/graphql", `{"query":`, "400 Bad Request"},
		{"GET", "/graphql", "", "405"},
		{"GET", "/other", "", "404"},
	} {
		if got := ask(c.method, c.path, c.body); !strings.Contains(got, c.want) {
			t.Errorf("%s %s %s: %q", c.method, c.path, c.body, got)
		}
	}
	if _, err := r.site.Reboot(minersim.Selector{Address: r.d.Address.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	if got := ask("GET", "/", ""); got != "no answer" {
		t.Errorf("while it boots: %q", got)
	}
}
