package minerctl

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestLoginsOfEveryShape(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"username": "u\n", "password": "s3cr3t-c\n", "VNish.password": "s3cr3t-v", "other": "x"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	coded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, text := range map[string]string{
		"yaml":   "username: u\npassword: s3cr3t-c\nVNish.password: s3cr3t-v\n",
		"json":   `{"username": "u", "password": "s3cr3t-c", "VNish.password": "s3cr3t-v"}`,
		"secret": "apiVersion: v1\nkind: Secret\ndata: {username: " + coded("u\n") + ", password: " + coded("s3cr3t-c") + "}\nstringData: {VNish.password: s3cr3t-v}",
		"folder": "",
	} {
		l, _, err := LoadLogins("-", strings.NewReader(text))
		if text == "" {
			l, _, err = LoadLogins(folder, nil)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if l.of(miner.VNish) != (login{"", "s3cr3t-v"}) || l.of(miner.BraiinsOS) != (login{"u", "s3cr3t-c"}) {
			t.Errorf("%s: logins differ", name)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", l, l, l, l); strings.Contains(shown, "s3cr3t") {
			t.Errorf("%s shows %s", name, shown)
		}
	}
}

func TestLoginsThatCanNotBe(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "holds no credentials",
		"s3cr3t":                             "is no YAML or JSON",
		"password: s3cr3t\npassword: s3cr3t": "each key once",
		"password: [s3cr3t]":                 `key "password" is no text`,
		"password: 1234":                     "put its value in quotes",
		"password: ''":                       `key "password" is empty`,
		"password: \"s3cr3t\\nmore\"":        "is not one line of text",
		"Luxos.password: s3cr3t":             `key "Luxos.password" is none`,
		"pasword: s3cr3t":                    `key "pasword" is none`,
		"VNish.token: s3cr3t":                `key "VNish.token" is none`,
		"kind: Secret\ndata: {password: s3cr3t!}": "is a Secret that can't be read",
		"kind: Secret\n": "holds no credentials",
		"password: " + strings.Repeat("s3cr3t", largestLogins): "is longer than",
	} {
		_, _, err := LoadLogins("-", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.40q: want %q, got %v", text, want, err)
		}
	}
}

func TestAFileThatOthersMayReadIsWarnedOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logins")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true} {
		if err := os.WriteFile(path, []byte("password: s3cr3t"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, warn, err := LoadLogins(path, nil)
		if err != nil || (warn != "") != want || strings.Contains(warn, "s3cr3t") {
			t.Errorf("mode %o: %q, %v", mode, warn, err)
		}
	}
	if _, _, err := LoadLogins(path+"x", nil); err == nil || !strings.Contains(err.Error(), "can't be read") {
		t.Errorf("a missing file: %v", err)
	}
	if l, warn, err := LoadLogins("", nil); err != nil || warn != "" || l.of(miner.VNish) != (login{}) {
		t.Errorf("no file: %v %q", err, warn)
	}
}

func FuzzLogins(f *testing.F) {
	for _, text := range []string{"password: x", `{"VNish.password":"y"}`, "kind: Secret\ndata: {password: eA==}", "a: &a [*a]", "- 1", "? {}\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseLogins(data)
		if err == nil && l.common == (login{}) && len(l.own) == 0 {
			t.Errorf("%q holds nothing, and that is no error", data)
		}
	})
}
