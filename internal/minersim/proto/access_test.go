package proto_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"testing"
	"time"
)

// TestTokens: everything but what discovery needs takes one, and it dies within the hour.
func TestTokens(t *testing.T) {
	r := start(t, awake)
	for _, what := range [][2]string{
		{"GET", "/mining"}, {"GET", "/mining/target"}, {"GET", "/telemetry"}, {"GET", "/hashboards"}, {"GET", "/pools"}, {"GET", "/errors"},
		{"POST", "/mining/stop"}, {"POST", "/mining/start"}, {"PUT", "/mining/target"}, {"POST", "/system/reboot"}, {"POST", "/auth/logout"},
		{"PUT", "/auth/change-password"}, {"DELETE", "/pairing/auth-key"},
	} {
		r.refused(401, "UNAUTHORIZED", what[0], what[1], `{"power_target_watts":5000}`)
	}
	r.truly(full)
	refresh := r.login("anything")
	good := r.token
	r.says("Mining")
	r.token = refresh
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	r.token = good
	r.clock.Advance(59 * time.Minute)
	r.says("Mining")
	r.clock.Advance(time.Minute)
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	o := r.object(200, "POST", "/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, refresh))
	r.refused(401, "UNAUTHORIZED", "POST", "/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, refresh))
	r.token = o["access_token"].(string)
	r.says("Mining")
	r.refused(401, "UNAUTHORIZED", "POST", "/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, r.token))
	r.want(200, "POST", "/auth/logout", "")
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	r.refused(401, "UNAUTHORIZED", "POST", "/auth/login", `{}`)
	r.refused(400, "INVALID_REQUEST", "POST", "/auth/login", ``)
}

// TestTokensAreBounded: the oldest makes room.
func TestTokensAreBounded(t *testing.T) {
	r := start(t, awake)
	r.login("")
	first := r.token
	for range 16 {
		r.login("")
	}
	r.says("Mining")
	r.token = first
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
}

// TestPassword of a machine that has one.
func TestPassword(t *testing.T) {
	r := start(t, locked)
	if s := r.object(200, "GET", "/system/status", ""); s["password_set"] != true {
		t.Errorf("%v", s)
	}
	for _, wrong := range []string{"", "correct", "correct horse "} {
		r.refused(401, "UNAUTHORIZED", "POST", "/auth/login", fmt.Sprintf(`{"password":%q}`, wrong))
	}
	r.refused(403, "PASSWORD_ALREADY_SET", "PUT", "/auth/password", `{"password":"another one"}`)
	r.login("correct horse")
	r.refused(401, "UNAUTHORIZED", "PUT", "/auth/change-password", `{"current_password":"x","new_password":"battery staple"}`)
	r.refused(400, "INVALID_REQUEST", "PUT", "/auth/change-password", `{"current_password":"correct horse","new_password":"short"}`)
	r.says("Mining")
	r.want(200, "PUT", "/auth/change-password", `{"current_password":"correct horse","new_password":"battery staple"}`)
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	r.refused(401, "UNAUTHORIZED", "POST", "/auth/login", `{"password":"correct horse"}`)
	r.login("battery staple")
}

// TestFirstPassword is set by whoever comes first.
func TestFirstPassword(t *testing.T) {
	r := start(t, awake)
	r.refused(400, "INVALID_REQUEST", "PUT", "/auth/password", `{"password":"1234567"}`)
	r.want(200, "PUT", "/auth/password", `{"password":"12345678"}`)
	r.refused(403, "PASSWORD_ALREADY_SET", "PUT", "/auth/password", `{"password":"12345679"}`)
	r.refused(401, "UNAUTHORIZED", "POST", "/auth/login", `{"password":""}`)
	r.login("12345678")
}

func jwt(key ed25519.PrivateKey, head, claims string) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(head)) + "." + enc.EncodeToString([]byte(claims))
	return text + "." + enc.EncodeToString(ed25519.Sign(key, []byte(text)))
}

func newKey(t *testing.T) (string, ed25519.PrivateKey) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"public_key":%q}`, base64.StdEncoding.EncodeToString(der)), private
}

// TestPairing: who gave the key signs its own tokens; nobody else may give another.
func TestPairing(t *testing.T) {
	r := start(t, awake)
	body, key := newKey(t)
	other, otherKey := newKey(t)
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(agreement.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	signsNothing := fmt.Sprintf(`{"public_key":%q}`, base64.StdEncoding.EncodeToString(der))
	for _, bad := range []string{`{"public_key":"?"}`, `{"public_key":"AAAA"}`, `{}`, signsNothing} {
		r.refused(400, "INVALID_REQUEST", "POST", "/pairing/auth-key", bad)
	}
	now := r.d.Clock().Now().Unix()
	head := `{"alg":"EdDSA","typ":"JWT"}`
	claims := func(serial string, from, until int64) string {
		return fmt.Sprintf(`{"miner_sn":%q,"nbf":%d,"iat":%d,"exp":%d}`, serial, from, from, until)
	}
	good := jwt(key, head, claims(r.d.Serial, now, now+60))
	r.token = good
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	r.token = ""
	r.want(200, "POST", "/pairing/auth-key", body)
	r.refused(401, "UNAUTHORIZED", "POST", "/pairing/auth-key", other)
	for name, bad := range map[string]string{
		"other key": jwt(otherKey, head, claims(r.d.Serial, now, now+60)), "other miner": jwt(key, head, claims("x", now, now+60)),
		"over": jwt(key, head, claims(r.d.Serial, now-9, now)), "not yet": jwt(key, head, claims(r.d.Serial, now+9, now+60)),
		"algorithm": jwt(key, `{"alg":"none"}`, claims(r.d.Serial, now, now+60)), "cut": good[:len(good)-8], "rest": good + ".x", "words": "a.b.c",
	} {
		r.token = bad
		if code, out, err := r.send("GET", "/mining", ""); err != nil || code != 401 {
			t.Errorf("%s: %d %q %v", name, code, out, err)
		}
	}
	r.token = good
	r.says("Mining")
	r.want(200, "POST", "/pairing/auth-key", other)
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	r.token = jwt(otherKey, head, claims(r.d.Serial, now, now+60))
	r.want(200, "DELETE", "/pairing/auth-key", "")
	r.refused(401, "UNAUTHORIZED", "GET", "/mining", "")
	r.token = ""
	r.want(200, "POST", "/pairing/auth-key", body)
}
