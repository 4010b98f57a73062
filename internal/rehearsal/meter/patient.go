package meter

import (
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// Patient is cfg for those who watch through an outage of the API server. A watch that finds nobody backs
// off for up to a minute, also when the API server is long back, and whoever judges by it would judge by what
// was true before.
func Patient(cfg *rest.Config) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.Wrap(func(next http.RoundTripper) http.RoundTripper { return patient{next} })
	return out
}

// patient asks again until somebody answers.
type patient struct{ next http.RoundTripper }

// askAgain is how soon.
const askAgain = 200 * time.Millisecond

// RoundTrip reads until the request's context ends; what writes is not tried twice.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		response, err := p.next.RoundTrip(r)
		if r.Method != http.MethodGet || err == nil && response.StatusCode < http.StatusInternalServerError {
			return response, err
		}
		timer := time.NewTimer(askAgain)
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
