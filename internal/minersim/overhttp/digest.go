package overhttp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/icholy/digest"
)

// Digest lets those in who know the password, by RFC 7616 with MD5 and qop auth: what the web server
// of these machines does.
type Digest struct {
	realm, algorithm string
	secret           string
}

const (
	// nonceLife is how long a nonce is good for: that of lighttpd, whose nonces these are like.
	nonceLife = 10 * time.Minute
	// stampLength is how many characters of a nonce tell when it was given; the other half proves it.
	stampLength = 16
)

// NewDigest asks in a realm. algorithm is named in the challenge where it is not empty; the hash is
// MD5 either way.
func NewDigest(realm, algorithm string) *Digest {
	return &Digest{realm: realm, algorithm: algorithm, secret: rand.Text()}
}

// Account is who may come in.
type Account struct{ Username, Password string }

// Allows tells whether a request proves to know the account, and else answers it with a challenge.
func (d *Digest) Allows(w http.ResponseWriter, r *http.Request, who Account, now time.Time) bool {
	given, err := digest.ParseCredentials(r.Header.Get("Authorization"))
	known, stale := false, false
	if err == nil {
		known = d.proves(r, given, who)
		stale = known && !d.fresh(given.Nonce, now)
	}
	if known && !stale {
		return true
	}
	w.Header().Set("WWW-Authenticate", d.challenge(now, stale))
	http.Error(w, "401 Unauthorized", http.StatusUnauthorized)
	return false
}

// proves tells whether credentials are those of the account for this very request, whatever the age of
// their nonce: of what they say, only the nonce, its count and the client's own nonce are believed.
func (d *Digest) proves(r *http.Request, given *digest.Credentials, who Account) bool {
	asked := &digest.Challenge{Realm: d.realm, Nonce: given.Nonce, QOP: []string{"auth"}}
	want, err := digest.Digest(asked, digest.Options{
		Method: r.Method, URI: r.RequestURI, Count: given.Nc, Cnonce: given.Cnonce, Username: who.Username, Password: who.Password,
	})
	return err == nil && subtle.ConstantTimeCompare([]byte(want.Response), []byte(given.Response)) == 1
}

// challenge is the header of a refusal. It looks as the machines' does: qop quoted, no opaque.
func (d *Digest) challenge(now time.Time, stale bool) string {
	header := `Digest realm="` + d.realm + `", `
	if d.algorithm != "" {
		header += "algorithm=" + d.algorithm + ", "
	}
	header += `nonce="` + d.nonce(now.Unix()) + `", qop="auth"`
	if stale {
		header += ", stale=true"
	}
	return header
}

// nonce is 32 hexadecimal digits: when it was given, and a proof that it was given here.
func (d *Digest) nonce(second int64) string {
	stamp := fmt.Sprintf("%0*x", stampLength, second)
	proof := sha256.Sum256([]byte(d.secret + stamp))
	return stamp + hex.EncodeToString(proof[:])[:stampLength]
}

// fresh tells whether a nonce was given here, and not too long ago.
func (d *Digest) fresh(nonce string, now time.Time) bool {
	if len(nonce) != 2*stampLength {
		return false
	}
	second, err := strconv.ParseInt(nonce[:stampLength], 16, 64)
	if err != nil || second < 0 || nonce != d.nonce(second) {
		return false
	}
	age := now.Unix() - second
	return age >= 0 && age < int64(nonceLife/time.Second)
}
