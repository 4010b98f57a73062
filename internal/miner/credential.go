package miner

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// longestCredential is what every firmware takes, and short enough that a wrong file is noticed.
const longestCredential = 256

// ParseCredential is a user or a password as it is kept in a file or a Secret: one line of text, whose
// newline, if there is one, is not part of it. The error says what is wrong, reads on after the name of
// where it was kept, and never shows what was there. Operator and agent both ask it, so that the one
// refuses with a word what the other would not start with.
func ParseCredential(raw []byte) (string, error) {
	text := strings.TrimRight(string(raw), "\r\n")
	switch {
	case text == "":
		return "", errors.New("is empty")
	case len(text) > longestCredential:
		return "", fmt.Errorf("is longer than %d bytes", longestCredential)
	case !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\n"):
		return "", errors.New("is not one line of text")
	}
	return text, nil
}
