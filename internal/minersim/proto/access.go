package proto

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const (
	// accessLife and refreshLife are how long tokens work (assumed).
	accessLife, refreshLife = time.Hour, 24 * time.Hour
	// maxTokens live at a time; the oldest makes room (assumed).
	maxTokens = 32
	// shortest password that may be set.
	shortest = 8
)

// token is one that was given.
type token struct {
	text    string
	dies    time.Time
	refresh bool
}

// access is who may do what.
type access struct {
	serial string
	// password is empty until one is set; then any will do, as on a machine out of its box.
	password string
	tokens   []token
	paired   ed25519.PublicKey
}

func newAccess(d *minersim.Device) access { return access{serial: d.Serial, password: d.Password} }

// bearer is the token of a request.
func bearer(r *http.Request) string {
	scheme, text, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(text)
}

// allows tells whether a request carries a living token of the machine's, or one that who is paired
// with it signed.
func (a *access) allows(r *http.Request, now time.Time) bool {
	text := bearer(r)
	a.tokens = slices.DeleteFunc(a.tokens, func(t token) bool { return !now.Before(t.dies) })
	return text != "" && (slices.ContainsFunc(a.tokens, func(t token) bool { return !t.refresh && t.text == text }) || a.signed(text, now))
}

// claims are what a signed token says.
type claims struct {
	Miner string `json:"miner_sn"`
	Until int64  `json:"exp"`
	From  int64  `json:"nbf"`
}

func (c claims) hold(now time.Time) bool {
	return (c.Until == 0 || now.Unix() < c.Until) && now.Unix() >= c.From
}

// signed checks a JSON web token by the key that the machine was paired with.
func (a *access) signed(text string, now time.Time) bool {
	parts := strings.Split(text, ".")
	if a.paired == nil || len(parts) != 3 {
		return false
	}
	var head struct {
		Algorithm string `json:"alg"`
	}
	var said claims
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decode(parts[0], &head) || !decode(parts[1], &said) {
		return false
	}
	return said.hold(now) && head.Algorithm == "EdDSA" && said.Miner == a.serial && ed25519.Verify(a.paired, []byte(parts[0]+"."+parts[1]), signature)
}

func decode(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}

// issue gives a pair of tokens.
func (a *access) issue(now time.Time) object {
	one := token{text: rand.Text() + rand.Text(), dies: now.Add(accessLife)}
	other := token{text: rand.Text() + rand.Text(), dies: now.Add(refreshLife), refresh: true}
	a.tokens = append(a.tokens, one, other)
	if over := len(a.tokens) - maxTokens; over > 0 {
		a.tokens = slices.Delete(a.tokens, 0, over)
	}
	return object{"access_token": one.text, "refresh_token": other.text}
}

func login(c *call) (any, error) {
	var q struct{ Password *string }
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if q.Password == nil || c.password != "" && *q.Password != c.password {
		return nil, refusal{http.StatusUnauthorized, "UNAUTHORIZED", "Invalid password"}
	}
	return c.issue(c.now), nil
}

// refresh trades a token for another pair, once.
func refresh(c *call) (any, error) {
	var q struct {
		Token string `json:"refresh_token"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.tokens, func(t token) bool { return t.refresh && t.text == q.Token && c.now.Before(t.dies) })
	if i < 0 {
		return nil, refusal{http.StatusUnauthorized, "UNAUTHORIZED", "Invalid refresh token"}
	}
	c.tokens = slices.Delete(c.tokens, i, i+1)
	return c.issue(c.now), nil
}

func logout(c *call) (any, error) {
	c.tokens = nil
	return message("Logged out successfully"), nil
}

// setPassword works once, without a token.
func setPassword(c *call) (any, error) {
	if c.password != "" {
		return nil, refusal{http.StatusForbidden, "PASSWORD_ALREADY_SET", "Password already set; use authenticated change-password instead"}
	}
	var q struct{ Password string }
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	return c.keep(q.Password, "Password set successfully")
}

// changePassword ends every login.
func changePassword(c *call) (any, error) {
	var q struct {
		Current string `json:"current_password"`
		Next    string `json:"new_password"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	if c.password != "" && q.Current != c.password {
		return nil, refusal{http.StatusUnauthorized, "UNAUTHORIZED", "Current password is incorrect"}
	}
	return c.keep(q.Next, "Password changed successfully")
}

func (c *call) keep(password, words string) (any, error) {
	if len(password) < shortest {
		return nil, refusal{http.StatusBadRequest, "INVALID_REQUEST", "Password must be at least 8 characters long"}
	}
	c.password, c.tokens = password, nil
	return message(words), nil
}

// pair takes a public key: the first from anybody, another only with a token.
func pair(c *call) (any, error) {
	if c.paired != nil && !c.allows(c.r, c.now) {
		return nil, refusal{http.StatusUnauthorized, "UNAUTHORIZED", "Missing or invalid bearer token"}
	}
	var q struct {
		Key string `json:"public_key"`
	}
	if err := c.parse(&q); err != nil {
		return nil, err
	}
	der, err := base64.StdEncoding.DecodeString(q.Key)
	if err != nil {
		return nil, refusal{http.StatusBadRequest, "INVALID_REQUEST", "Invalid public key"}
	}
	key, err := x509.ParsePKIXPublicKey(der)
	ed, ok := key.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, refusal{http.StatusBadRequest, "INVALID_REQUEST", "Invalid public key"}
	}
	c.paired = ed
	return message("Auth key set successfully"), nil
}

func unpair(c *call) (any, error) {
	c.paired = nil
	return message("Auth key cleared successfully"), nil
}

func pairing(c *call) (any, error) { return object{"mac": c.d.MAC, "cb_sn": c.serial}, nil }
