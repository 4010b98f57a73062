package outage

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// coming is an API server that is away, then starting, then there.
type coming struct{ asked int }

func (c *coming) RoundTrip(*http.Request) (*http.Response, error) {
	c.asked++
	switch c.asked {
	case 1:
		return nil, errors.New("connection refused")
	case 2:
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
	}
	return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody}, nil
}

func TestReadersWaitForTheAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cases := map[string]struct {
			method   string
			patience time.Duration
			asked    int
			ok       bool
		}{
			"a read":              {http.MethodGet, time.Minute, 3, true},
			"a write":             {http.MethodPatch, time.Minute, 1, false},
			"a read that gave up": {http.MethodGet, time.Second / 2, 1, false},
		}
		for name, c := range cases {
			ctx, cancel := context.WithTimeout(t.Context(), c.patience)
			request, err := http.NewRequestWithContext(ctx, c.method, "https://127.0.0.1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			server := &coming{}
			response, err := patient{server, time.Second}.RoundTrip(request)
			cancel()
			if server.asked != c.asked || (err == nil) != c.ok {
				t.Errorf("%s: asked %d times, %v", name, server.asked, err)
			}
			if err == nil {
				response.Body.Close()
			}
		}
	})
}
