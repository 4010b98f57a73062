package controllers

import (
	"net/http"

	"k8s.io/client-go/rest"
)

// Fenced is cfg for everything this process writes but its candidacy: a write leaves only while the last
// renewal of the leader Lease is young enough (L7). A process that was paused past it, and another leads,
// writes nothing when it wakes.
func Fenced(cfg *rest.Config, l *Leader) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.Wrap(func(next http.RoundTripper) http.RoundTripper { return fence{next, l} })
	return out
}

type fence struct {
	next   http.RoundTripper
	leader leader
}

// RoundTrip lets reads pass.
func (f fence) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && !f.leader.Fresh() {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errNotFresh
	}
	return f.next.RoundTrip(r)
}
