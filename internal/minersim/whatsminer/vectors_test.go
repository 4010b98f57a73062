package whatsminer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim/whatsminer"
)

// TestVectors: numbers that OpenSSL computed from the manual's sample salts.
func TestVectors(t *testing.T) {
	for hash, of := range map[string][2]string{
		"RxmaDUO33TS7O26yeMHZ81": {"admin", "BQ5hoXV9"},
		"w.BNbkCV6n1aNWgiBWLzT/": {"RxmaDUO33TS7O26yeMHZ815626", "jbzkfQls"},
		"M55TzYaaccxVGbptZWaxX/": {"", "abcdefgh"},
		"257MeZXPbPELxYH7XXwxM1": {"a-password-longer-than-sixteen-bytes", "abcdefghijk"},
	} {
		if got := whatsminer.MD5Crypt(of[0], of[1]); got != hash {
			t.Errorf("md5crypt of %q with %q: %s, want %s", of[0], of[1], got, hash)
		}
	}
	key := sha256.Sum256([]byte("RxmaDUO33TS7O26yeMHZ81"))
	if got := hex.EncodeToString(key[:]); got != "199e0a202039bb7b558db7a54697dca29cb278055b7e659a127fb844d5a2fbf6" {
		t.Errorf("key %s", got)
	}
	const plain = `{"token":"w.BNbkCV6n1aNWgiBWLzT/","cmd":"power_off","respbefore":"true"}`
	const zeros = "ztIn8gXGbnM4QY3NTovpapmN9lmZbn718Sv0yvT4EP+KXFGGd1/8W8Rd+M61MiIBF8cXNtygJM7TJT/m6MQzfDD3SneVLmG9HaIgBQB0if8="
	if got := whatsminer.Seal(key, []byte(plain), false); got != zeros {
		t.Errorf("with zeros: %s", got)
	}
	pkcs7 := whatsminer.Seal(key, []byte(plain), true)
	if !strings.HasSuffix(pkcs7, "QzfCsUbYO3yxyGYlx99DXvmVQ=") || pkcs7[:80] != zeros[:80] {
		t.Errorf("with PKCS7: %s", pkcs7)
	}
	for _, sealed := range []string{zeros, pkcs7} {
		if got, err := whatsminer.Unseal(key, sealed); err != nil || string(got) != plain {
			t.Errorf("unsealed %q %v", got, err)
		}
	}
	if got := whatsminer.TokenV3("set.miner.service", "super", "BQ5hoXV9", "1700000000"); got != "n5JRDCDx" {
		t.Errorf("token %s", got)
	}
}

// TestPadding: text that fills its last block keeps its end, whichever way it was padded.
func TestPadding(t *testing.T) {
	key := sha256.Sum256([]byte("k"))
	for n := 1; n <= 48; n++ {
		plain := `{"a":"` + strings.Repeat("x", n) + `"}`
		for _, pkcs7 := range []bool{false, true} {
			if got, err := whatsminer.Unseal(key, whatsminer.Seal(key, []byte(plain), pkcs7)); err != nil || string(got) != plain {
				t.Errorf("%d bytes, pkcs7 %t: %q %v", len(plain), pkcs7, got, err)
			}
		}
	}
	for _, bad := range []string{"", "AAAA", "*"} {
		if got, err := whatsminer.Unseal(key, bad); err == nil {
			t.Errorf("%q gave %q", bad, got)
		}
	}
}
