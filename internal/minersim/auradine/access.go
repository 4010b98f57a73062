package auradine

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// tokenLife is how long a token works, however often it is used: what a client in the field
	// counts with.
	tokenLife = time.Hour
	// maxTokens live at a time; the oldest makes room (assumed).
	maxTokens = 16
)

type token struct {
	text string
	dies time.Duration
}

// allows tells whether a request carries a living token. Clients in the field send it in either
// header.
func (st *state) allows(r *http.Request, now time.Duration) bool {
	st.tokens = slices.DeleteFunc(st.tokens, func(t token) bool { return now >= t.dies })
	text := r.Header.Get("Token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		text = bearer
	}
	return slices.ContainsFunc(st.tokens, func(t token) bool { return t.text == text })
}

// login trades name and password for a token.
func (c *call) login() (object, error) {
	var q struct {
		User, Password string
	}
	if json.Unmarshal(c.body, &q) != nil || q.User != c.user || q.Password != c.password {
		return nil, refusal{http.StatusUnauthorized, codeUnauthorized, "Invalid user or password"}
	}
	if len(c.tokens) >= maxTokens {
		c.tokens = slices.Delete(c.tokens, 0, 1)
	}
	now := c.d.Clock().Now()
	t := token{webToken(c.user, now), c.m.Now() + tokenLife}
	c.tokens = append(c.tokens, t)
	return c.ok(600, "Token", "Token", []object{{"Name": c.user, "When": now.Unix(), "Token": t.text}}), nil
}

// webToken looks like a JSON web token.
func webToken(user string, now time.Time) string {
	part := func(v object) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(object{"alg": "HS256", "typ": "JWT"}) + "." + part(object{"exp": now.Add(tokenLife).Unix(), "user": user}) + "." + rand.Text()
}

func changePassword(c *call) (object, error) {
	var q struct {
		User, Old, New string
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if q.User != c.user || q.Old != c.password || q.New == "" {
		return nil, invalid("Invalid user or password")
	}
	c.password = q.New
	return c.ok(560, "Password changed", "", nil), nil
}
