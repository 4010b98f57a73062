package whatsminer

import (
	"encoding/json"
	"strings"
	"testing"
)

// The manual's sample salts, worked out with openssl.
func TestTokenOfTheManual(t *testing.T) {
	token, err := challenge{Time: "5626", Salt: "BQ5hoXV9", NewSalt: "jbzkfQls"}.answer("admin")
	if err != nil {
		t.Fatal(err)
	}
	if token.sign != "w.BNbkCV6n1aNWgiBWLzT/" {
		t.Errorf("sign %q", token.sign)
	}
	plain, err := json.Marshal(order{Token: token.sign, Command: "power_off", RespBefore: "true"})
	if err != nil {
		t.Fatal(err)
	}
	const zeros = "ztIn8gXGbnM4QY3NTovpapmN9lmZbn718Sv0yvT4EP+KXFGGd1/8W8Rd+M61MiIBF8cXNtygJM7TJT/m6MQzfDD3SneVLmG9HaIgBQB0if8="
	const pkcs7 = "ztIn8gXGbnM4QY3NTovpapmN9lmZbn718Sv0yvT4EP+KXFGGd1/8W8Rd+M61MiIBF8cXNtygJM7TJT/m6MQzfCsUbYO3yxyGYlx99DXvmVQ="
	if got := token.seal(plain); got != zeros {
		t.Errorf("sealed %q", got)
	}
	for name, sealed := range map[string]string{"zeros": zeros, "PKCS #7": pkcs7} {
		if got, err := token.open(sealed); err != nil || string(got) != string(plain) {
			t.Errorf("%s: opened %q, %v", name, got, err)
		}
	}
	// A time that is not cut to its last four digits signs the same.
	whole, err := challenge{Time: "1699995626", Salt: "BQ5hoXV9", NewSalt: "jbzkfQls"}.answer("admin")
	if err != nil || whole.sign != token.sign {
		t.Errorf("whole time: %v, %v", whole, err)
	}
}

// An exchange from another project's recordings, machine's reply included; its password is not the default.
func TestTokenOfARecording(t *testing.T) {
	token, err := challenge{Time: "6915", Salt: "BQ5hoXV9", NewSalt: "a5TtWui2"}.answer("my-auth-password")
	if err != nil {
		t.Fatal(err)
	}
	const sent = "0WVQDDRWGQiJWbt6DMM/aMdYeBcVaIAhjd2OQG7KdCJMgbCWJ/ULUk6ojNiLpcCbKrc2kbKZMCBtKQVn7CqCLg=="
	if got := token.seal([]byte(`{"cmd":"factory_reset","token":"` + token.sign + `"}`)); got != sent {
		t.Errorf("sealed %q", got)
	}
	got, err := token.open("99J8w83zIqB3/n9c5GlK0Ms8rMLrtR4I9L3mL3ihmpoy4J0v+AHcKtijbyE92q22MIKC6VKEUcYL2KQS50euQWMqSBlxCPx8YYy4oRkOE4C7kjyvgs9rRMH/mhiVH9k+")
	if err != nil || string(got) != `{"STATUS":"S","When":1608417125,"Code":131,"Msg":"","Description":"whatsminer v1.1"}` {
		t.Errorf("opened %q, %v", got, err)
	}
}

func TestTokenV3(t *testing.T) {
	if got := tokenV3("set.miner.service", "super", "BQ5hoXV9", 1700000000); got != "n5JRDCDx" {
		t.Errorf("token %q", got)
	}
	if got := tokenV3("set.miner.service", "super", "Abc123xy", 1759800000); got != "Cg2iuKaj" {
		t.Errorf("token %q", got)
	}
}

func TestUnusableSalts(t *testing.T) {
	for _, salt := range []string{"", "a$b", "rounds=9", strings.Repeat("a", 17), "a b", "é"} {
		if got, err := crypted("x", salt); err == nil {
			t.Errorf("salt %q gave %q", salt, got)
		}
	}
}

func TestUnreadableSeals(t *testing.T) {
	token, err := challenge{Time: "5626", Salt: "BQ5hoXV9", NewSalt: "jbzkfQls"}.answer("admin")
	if err != nil {
		t.Fatal(err)
	}
	for name, sealed := range map[string]string{
		"nothing": "", "no base64": "!!!", "half a block": "AAAA", "another key": "AAAAAAAAAAAAAAAAAAAAAA==", "a list": token.seal([]byte(`[{}]`)),
	} {
		if got, err := token.open(sealed); err == nil {
			t.Errorf("%s: opened %q", name, got)
		}
	}
}
