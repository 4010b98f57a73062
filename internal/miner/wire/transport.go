package wire

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// Transport carries every request over HTTP: one kept connection per machine, no proxy, and nothing that
// outlives the machine's silence for long. An address may be asked by the probes of all firmwares at once,
// and none of them may wait for another's: a driver itself is one goroutine.
var Transport http.RoundTripper = carrier{kept: transport(true, nil), passing: transport(false, nil)}

// Veiled is Transport for machines that speak HTTPS with a certificate that they made themselves: nobody can say whose
// it is, so who answers is no surer than without.
var Veiled http.RoundTripper = carrier{kept: transport(true, veil()), passing: transport(false, veil())}

func veil() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see Veiled
}

func transport(keeps bool, secrecy *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:            Dial,
		TLSClientConfig:        secrecy,
		TLSHandshakeTimeout:    exchangeTimeout,
		DisableKeepAlives:      !keeps,
		MaxIdleConnsPerHost:    1,
		MaxConnsPerHost:        16,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
		ReadBufferSize:         4 << 10,
		WriteBufferSize:        1 << 10,
	}
}

// carrier keeps connections to machines, but to those that are only passed by.
type carrier struct{ kept, passing http.RoundTripper }

// RoundTrip carries one request.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Value(passingKey{}) != nil {
		return c.passing.RoundTrip(r)
	}
	return c.kept.RoundTrip(r)
}

type passingKey struct{}

// Passing is for whoever asks machines that may be of another firmware. No connection stays open behind a request,
// not even one that is opened after the request was given up: there are machines that hear one connection at
// a time, and are deaf for as long as that one says nothing.
func Passing(ctx context.Context) context.Context { return context.WithValue(ctx, passingKey{}, true) }
