package whatsminer

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"time"
)

const (
	tokenLife = 30 * time.Minute
	// defaultTokens is how many may live at once by manual 2.2; older machines have 16 or 32.
	defaultTokens = 100
)

// tokens are what API v2 lets in: md5crypt of the password, then of that with the time, each with
// a salt of its own.
type tokens struct {
	serial string
	salt   string
	hash   string // md5crypt of the password
	key    [sha256.Size]byte
	most   int
	issued uint64
	live   map[string]time.Duration
}

func newTokens(serial, password string, most int) tokens {
	t := tokens{serial: serial, most: most, salt: saltOf(serial, 0)}
	t.hash = md5crypt(password, t.salt)
	t.key = sha256.Sum256([]byte(t.hash))
	return t
}

// issue makes a token for a time of four digits and tells what a client needs to make the same.
func (t *tokens) issue(now time.Duration, clock string) (object, bool) {
	for sign, at := range t.live {
		if now-at >= tokenLife {
			delete(t.live, sign)
		}
	}
	if len(t.live) >= t.most {
		return nil, false
	}
	if t.live == nil {
		t.live = map[string]time.Duration{}
	}
	t.issued++
	newsalt := saltOf(t.serial, t.issued)
	t.live[md5crypt(t.hash+clock, newsalt)] = now
	return object{"time": clock, "salt": t.salt, "newsalt": newsalt}, true
}

// good tells whether a token lets in now.
func (t *tokens) good(now time.Duration, sign string) bool {
	at, ok := t.live[sign]
	return ok && now-at < tokenLife
}

// saltOf makes the n-th salt of a machine.
func saltOf(serial string, n uint64) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%d", serial, n)
	x := h.Sum64()
	salt := make([]byte, saltLength)
	for i := range salt {
		salt[i] = alphabet[2+x%62]
		x /= 62
	}
	return string(salt)
}
