package minerctl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

// login is a user and a password; empty is the firmware's own default.
type login struct{ username, password string }

// Logins let a person in to machines: a common one, and those of single firmwares, which win. They never show in
// text.
type Logins struct {
	common login
	own    map[miner.Firmware]login
}

// String hides what it holds.
func (Logins) String() string { return "logins" }

// GoString hides what it holds.
func (Logins) GoString() string { return "logins" }

// of is the login for a firmware.
func (l Logins) of(f miner.Firmware) login {
	if own, ok := l.own[f]; ok {
		return own
	}
	return l.common
}

// largestLogins is far above what a pool's Secret holds.
const largestLogins = 64 << 10

// LoadLogins reads what a pool's Secret holds: the keys username, password, FIRMWARE.username and FIRMWARE.password,
// from a file of YAML or JSON, from such a Secret itself, from the folder it is mounted as, or, for "-", from stdin.
// warn is what a person should know of the file. Errors name the key, and never show what was there.
func LoadLogins(path string, stdin io.Reader) (l Logins, warn string, err error) {
	if path == "" {
		return Logins{}, "", nil
	}
	if path != "-" {
		info, err := os.Stat(path)
		if err != nil {
			return Logins{}, "", fmt.Errorf("can't be read: %w; give a file of keys and values, a folder, or -", err)
		}
		if info.IsDir() {
			l, err := loadFolder(path)
			return l, "", err
		}
		if loose := info.Mode().Perm() & 0o077; loose != 0 {
			warn = fmt.Sprintf("--credentials %s: others on this computer may use it (mode %04o); chmod 600 it", path, info.Mode().Perm())
		}
		file, err := os.Open(path)
		if err != nil {
			return Logins{}, "", fmt.Errorf("can't be read: %w; give a file that you may read", err)
		}
		defer file.Close()
		stdin = file
	}
	data, err := io.ReadAll(io.LimitReader(stdin, largestLogins+1))
	if err != nil {
		return Logins{}, "", fmt.Errorf("can't be read: %w", err)
	}
	l, err = parseLogins(data)
	return l, warn, err
}

// errNoMap says nothing of what was read: it may be a secret.
var errNoMap = errors.New("is no YAML or JSON of keys and texts, each key once; " +
	"give lines such as \"BraiinsOS.password: ...\", with odd passwords in quotes")

// parseLogins reads keys and values, or a Kubernetes Secret of them.
func parseLogins(data []byte) (Logins, error) {
	if len(data) > largestLogins {
		return Logins{}, fmt.Errorf("is longer than %d bytes; give the file with the keys", largestLogins)
	}
	var secret struct {
		Kind       string            `json:"kind"`
		Data       map[string][]byte `json:"data"`
		StringData map[string]string `json:"stringData"`
	}
	err := yaml.Unmarshal(data, &secret)
	if secret.Kind == "Secret" {
		if err != nil {
			return Logins{}, errors.New("is a Secret that can't be read; its data has to be base64, its stringData text")
		}
		keys := secret.Data
		if keys == nil {
			keys = map[string][]byte{}
		}
		for key, value := range secret.StringData {
			keys[key] = []byte(value)
		}
		return loginsOf(keys)
	}
	var values map[string]any
	if yaml.UnmarshalStrict(data, &values) != nil {
		return Logins{}, errNoMap
	}
	keys := map[string][]byte{}
	for key, value := range values {
		text, isText := value.(string)
		if !isText {
			return Logins{}, fmt.Errorf("key %q is no text; put its value in quotes", clean(key))
		}
		keys[key] = []byte(text)
	}
	return loginsOf(keys)
}

// loadFolder reads a mounted Secret, whose files are its keys.
func loadFolder(dir string) (Logins, error) {
	keys := map[string][]byte{}
	for _, prefix := range prefixes() {
		for _, name := range []string{prefix + "username", prefix + "password"} {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return Logins{}, fmt.Errorf("can't be read: %w; give files that you may read", err)
			}
			if err == nil {
				keys[name] = raw
			}
		}
	}
	return loginsOf(keys)
}

// prefixes of the keys: none, and every firmware's.
func prefixes() []string {
	all := []string{""}
	for _, f := range firmwares.Supported() {
		all = append(all, string(f)+".")
	}
	return all
}

// loginsOf takes keys as the agents do: what a firmware has of its own replaces the common login whole.
func loginsOf(keys map[string][]byte) (Logins, error) {
	l := Logins{own: map[miner.Firmware]login{}}
	if len(keys) == 0 {
		return l, errors.New("holds no credentials; give username, password, FIRMWARE.username or FIRMWARE.password")
	}
	for key, raw := range keys {
		text, err := miner.ParseCredential(raw)
		if err != nil {
			return Logins{}, fmt.Errorf("key %q %w; give one line of text, or leave the key out", clean(key), err)
		}
		if !l.put(key, text) {
			return Logins{}, unknownKey(key)
		}
	}
	return l, nil
}

// put takes one key, and says whether it is one.
func (l *Logins) put(key, text string) bool {
	name, field, own := strings.Cut(key, ".")
	if !own {
		return l.common.put(key, text)
	}
	into := l.own[miner.Firmware(name)]
	if !slices.Contains(firmwares.Supported(), miner.Firmware(name)) || !into.put(field, text) {
		return false
	}
	l.own[miner.Firmware(name)] = into
	return true
}

func (l *login) put(field, text string) bool {
	switch field {
	case "username":
		l.username = text
	case "password":
		l.password = text
	default:
		return false
	}
	return true
}

func unknownKey(key string) error {
	var names []string
	for _, prefix := range prefixes() {
		names = append(names, prefix+"password")
	}
	return fmt.Errorf("key %q is none of a pool's Secret; give %s, or username for password", clean(key), strings.Join(names, ", "))
}
