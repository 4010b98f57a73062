// Package outage lets those who watch the API server see it again as soon as it is back. It decides
// nothing, and it never repeats a write.
package outage

import (
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// Patient is cfg for caches. A watch that finds nobody backs off for up to a minute, also when the API
// server is long back; whoever decides or judges by it would go by what was true before.
func Patient(cfg *rest.Config, askAgain time.Duration) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.Wrap(func(next http.RoundTripper) http.RoundTripper { return patient{next, askAgain} })
	return out
}

// patient asks again until somebody answers.
type patient struct {
	next     http.RoundTripper
	askAgain time.Duration
}

// RoundTrip reads until the request's context ends; what writes is not tried twice.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		response, err := p.next.RoundTrip(r)
		if r.Method != http.MethodGet || err == nil && response.StatusCode < http.StatusInternalServerError {
			return response, err
		}
		timer := time.NewTimer(p.askAgain)
		select {
		case <-r.Context().Done():
			timer.Stop()
			return response, err
		case <-timer.C:
		}
		if err == nil {
			response.Body.Close()
		}
	}
}
