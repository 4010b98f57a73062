package wire

import "bytes"

// Mend makes JSON of what mining programs were seen to write instead: no comma between two objects, one too many
// before an end, nan and inf for numbers, and control characters within text. What needs no mending, or can't be
// mended so, comes back as it is but for these.
func Mend(data []byte) []byte {
	var m mender
	m.out = make([]byte, 0, len(data)+16)
	for len(data) > 0 {
		data = data[m.step(data):]
	}
	return m.out
}

type mender struct {
	out               []byte
	inString, escaped bool
	// last is the last byte of out that is no space; 0 where there is none. To look for it each time would take the
	// square of what a hostile machine sends.
	last byte
}

// step takes what data begins with, and says how many bytes that was.
func (m *mender) step(data []byte) int {
	c := data[0]
	if m.inString {
		m.within(c)
		return 1
	}
	switch c {
	case '"':
		m.inString = true
	case '{':
		if m.last == '}' {
			m.out = append(m.out, ',')
		}
	case '}', ']':
		if m.last == ',' {
			m.out = bytes.TrimRight(m.out, ", \t\r\n")
		}
	case ',':
		if bytes.IndexByte([]byte(",[{"), m.last) >= 0 {
			return 1
		}
	default:
		if n := noNumber(data); n > 0 {
			m.out = append(m.out, "null"...)
			m.last = 'l'
			return n
		}
	}
	m.put(c)
	return 1
}

// put is one byte more.
func (m *mender) put(c byte) {
	m.out = append(m.out, c)
	if !bytes.ContainsRune(spaces, rune(c)) {
		m.last = c
	}
}

var spaces = []byte(" \t\r\n")

// within is one byte of a string.
func (m *mender) within(c byte) {
	switch {
	case c < ' ':
		m.escaped = false
		return
	case m.escaped:
		m.escaped = false
	case c == '\\':
		m.escaped = true
	case c == '"':
		m.inString = false
	}
	m.put(c)
}

// noNumber is how long a word at the start of data is that C prints for what is no number; 0 where there is none.
func noNumber(data []byte) int {
	sign := 0
	if data[0] == '-' || data[0] == '+' {
		sign = 1
	}
	for _, word := range []string{"nan", "infinity", "inf"} {
		if end := sign + len(word); len(data) >= end && bytes.EqualFold(data[sign:end], []byte(word)) {
			return end
		}
	}
	return 0
}
