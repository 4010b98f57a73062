package wire

import (
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/icholy/digest"
)

// Digest signs requests with HTTP Digest, as the web servers of Antminers want it. It carries requests on
// itself, and may be used by several goroutines at once. No password leaves it, only its hash; it answers
// no challenge of another kind.
type Digest struct {
	Username, Password string
	// Next carries the signed requests; nil is Transport.
	Next http.RoundTripper

	mu        sync.Mutex
	challenge *digest.Challenge
	uses      int
}

var _ http.RoundTripper = (*Digest)(nil)

// longestChallenge is how much of a refusal's body is read, so that its connection can be used again.
const longestChallenge = 4 << 10

// RoundTrip signs by the challenge that was met before, and once more by a new one where the machine sends
// one: a challenge ages, and dies with every restart of the machine. A reply of 401 that it gives back
// refuses the credentials.
func (d *Digest) RoundTrip(request *http.Request) (*http.Response, error) {
	signed, err := d.signed(request, request.Body)
	if err != nil {
		return nil, err
	}
	response, err := d.next().RoundTrip(signed)
	if err != nil || response.StatusCode != http.StatusUnauthorized || !d.learns(response.Header) {
		return response, err
	}
	body, ok := again(request)
	if !ok {
		return response, nil
	}
	_, _ = io.CopyN(io.Discard, response.Body, longestChallenge)
	_ = response.Body.Close()
	if signed, err = d.signed(request, body); err != nil {
		return nil, err
	}
	return d.next().RoundTrip(signed)
}

// again is the body of a request from its beginning.
func again(request *http.Request) (io.ReadCloser, bool) {
	if request.Body == nil || request.Body == http.NoBody {
		return request.Body, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	return body, err == nil
}

func (d *Digest) next() http.RoundTripper {
	if d.Next == nil {
		return Transport
	}
	return d.Next
}

// learns keeps a challenge, and says whether it is another than the one that was answered.
func (d *Digest) learns(header http.Header) bool {
	found, err := digest.FindChallenge(header)
	if err != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.challenge; known != nil && known.Nonce == found.Nonce && known.Realm == found.Realm && !found.Stale {
		return false
	}
	d.challenge, d.uses = found, 0
	return true
}

// signed is a copy of a request with an answer to the challenge, where there is one.
func (d *Digest) signed(request *http.Request, body io.ReadCloser) (*http.Request, error) {
	signed := request.Clone(request.Context())
	signed.Body = body
	d.mu.Lock()
	challenge := d.challenge
	d.uses++
	uses := d.uses
	d.mu.Unlock()
	if challenge == nil {
		return signed, nil
	}
	credentials, err := digest.Digest(challenge, digest.Options{
		Method: request.Method, URI: request.URL.RequestURI(), GetBody: request.GetBody, Count: uses,
		Username: d.Username, Password: d.Password,
	})
	if err != nil {
		return nil, fmt.Errorf("answering the challenge: %w", err)
	}
	signed.Header.Set("Authorization", credentials.String())
	return signed, nil
}
