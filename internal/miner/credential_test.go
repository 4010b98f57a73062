package miner_test

import (
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestParseCredential(t *testing.T) {
	for name, c := range map[string]struct{ raw, want, wrong string }{
		"plain":             {"root", "root", ""},
		"spaces are its":    {" a b ", " a b ", ""},
		"newline":           {"root\n", "root", ""},
		"newline of DOS":    {"root\r\n", "root", ""},
		"not ASCII":         {"pässwörd", "pässwörd", ""},
		"longest":           {strings.Repeat("x", 256), strings.Repeat("x", 256), ""},
		"too long":          {strings.Repeat("x", 257), "", "is longer than 256 bytes"},
		"nothing":           {"", "", "is empty"},
		"a newline alone":   {"\n", "", "is empty"},
		"two lines":         {"a\nb", "", "is not one line of text"},
		"a carriage return": {"a\rb", "", "is not one line of text"},
		"no text":           {"\xff", "", "is not one line of text"},
		"NUL":               {"a\x00", "", "is not one line of text"},
	} {
		got, err := miner.ParseCredential([]byte(c.raw))
		wrong := ""
		if err != nil {
			wrong = err.Error()
		}
		if got != c.want || wrong != c.wrong {
			t.Errorf("%s: got %q and error %q, want %q and %q", name, got, wrong, c.want, c.wrong)
		}
	}
}
