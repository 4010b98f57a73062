package vnish

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// tokenLife is how long a token works, however often it is used (assumed; the vendor says no
	// number).
	tokenLife = time.Hour
	// maxTokens live at a time; the oldest makes room (assumed).
	maxTokens = 16
	// maxUnlocks within unlockWindow are answered, right or wrong (assumed; 429 is the vendor's).
	maxUnlocks   = 10
	unlockWindow = time.Minute
	// keyLength is the vendor's.
	keyLength = 32
	// maxKeys is assumed.
	maxKeys = 8
)

type token struct {
	text string
	dies time.Duration
}

// access is who may do what.
type access struct {
	password string
	tokens   []token
	unlocks  []time.Duration
	keys     []apiKey
}

type apiKey struct {
	Key         string `json:"key"`
	Description string `json:"description"`
}

func newAccess(d *minersim.Device) access {
	if d.Password == "" {
		return access{password: "admin"}
	}
	return access{password: d.Password}
}

// forget drops what a boot ends: every session, and with the settings every key.
func (a *access) forget(settings bool) {
	a.tokens, a.unlocks = nil, nil
	if settings {
		a.keys = nil
	}
}

// allows tells whether a request carries a key or a living token. Clients in the field send the
// bare token too; for the paths under system they do not.
func (a *access) allows(r *http.Request, now time.Duration) bool {
	a.tokens = slices.DeleteFunc(a.tokens, func(t token) bool { return now >= t.dies })
	if key := r.Header.Get("x-api-key"); key != "" && slices.ContainsFunc(a.keys, func(k apiKey) bool { return k.Key == key }) {
		return true
	}
	text, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer && strings.HasPrefix(r.URL.Path, base+"system/") {
		return false
	}
	return slices.ContainsFunc(a.tokens, func(t token) bool { return t.text == text })
}

// unlock trades the password for a token.
func unlock(c *call) (any, error) {
	now := c.m.Now()
	c.unlocks = slices.DeleteFunc(c.unlocks, func(at time.Duration) bool { return now-at >= unlockWindow })
	if c.m.Busy() || len(c.unlocks) >= maxUnlocks {
		return nil, refusal{http.StatusTooManyRequests, object{}}
	}
	c.unlocks = append(c.unlocks, now)
	var q struct {
		Password *string `json:"pw"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if q.Password == nil || *q.Password != c.password {
		return nil, refusal{http.StatusForbidden, object{}}
	}
	if len(c.tokens) >= maxTokens {
		c.tokens = slices.Delete(c.tokens, 0, 1)
	}
	t := token{c.newToken(), now + tokenLife}
	c.tokens = append(c.tokens, t)
	return object{"token": t.text}, nil
}

// newToken is 32 letters on 1.2, where one was recorded, and a JSON web token on 1.3, as the
// schema says.
func (c *call) newToken() string {
	secret := (rand.Text() + rand.Text())[:32]
	if !c.newer {
		return secret
	}
	part := func(v object) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	head := part(object{"alg": "HS256", "typ": "JWT"})
	claims := part(object{"iat": c.now.Unix(), "exp": c.now.Add(tokenLife).Unix()})
	return head + "." + claims + "." + base64.RawURLEncoding.EncodeToString([]byte(secret))
}

// authCheck tells how long the token lasts; what the number means is assumed.
func authCheck(c *call) (any, error) {
	if len(c.tokens) == 0 {
		return object{}, nil
	}
	return object{"unlock_timeout": int((c.tokens[len(c.tokens)-1].dies - c.m.Now()) / time.Second)}, nil
}

func lock(c *call) (any, error) {
	c.tokens = nil
	return empty{}, nil
}

func listKeys(c *call) (any, error) {
	if c.keys == nil {
		return []apiKey{}, nil
	}
	return c.keys, nil
}

func addKey(c *call) (any, error) {
	var k apiKey
	if err := c.parse(&k); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.keys, func(known apiKey) bool { return known.Key == k.Key })
	switch {
	case len(k.Key) != keyLength:
		return nil, broken("the key must have 32 characters")
	case i >= 0 && c.keys[i] == k:
		return object{"status": "nochanges"}, nil
	case i >= 0:
		c.keys[i] = k
		return object{"status": "updated"}, nil
	case len(c.keys) >= maxKeys:
		return nil, broken("too many keys")
	}
	c.keys = append(c.keys, k)
	return object{"status": "inserted"}, nil
}

func deleteKey(c *call) (any, error) {
	var k apiKey
	if err := c.parse(&k); err != nil {
		return nil, err
	}
	c.keys = slices.DeleteFunc(c.keys, func(known apiKey) bool { return known.Key == k.Key })
	return empty{}, nil
}
