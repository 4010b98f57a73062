package avalon

import (
	"encoding/json"
	"strconv"
	"strings"
)

// described is what every status says of itself.
const described = "cgminer 4.11.1"

// Codes of replies, as cgminer has them.
const (
	codePools       = 7
	codeDevices     = 9
	codeSummary     = 11
	codeInvalid     = 14
	codeNoDevice    = 15
	codeVersion     = 22
	codeBadJSON     = 23
	codeNoCommand   = 24
	codeConfig      = 33
	codeDetails     = 69
	codeStats       = 70
	codeNoParameter = 71
	codeCheck       = 72
	codeWrongDevice = 107
	codeNoOption    = 116
	codeInfo        = 118
	codeSet         = 119
	codeSetFailed   = 120
)

// pair is one field; order is part of the text protocol.
type pair struct {
	key   string
	value any
}

// decimal is a number with so many places.
type decimal struct {
	value  float64
	places int
}

func two(v float64) decimal { return decimal{v, 2} }

// row is one entry of a section. Rows of VERSION or SUMMARY have no number of their own.
type row struct {
	plain bool
	index int
	pairs []pair
}

// reply is what a command answers: a status and, maybe, a section with rows named name.
type reply struct {
	letter        string
	when          int64
	code          int
	message       string
	section, name string
	rows          []row
	// restart and silence are replies of their own kind.
	restart, silence bool
}

// render writes a value the way both protocols do; quoted tells that it is text.
func render(value any) (text string, quoted bool) {
	switch v := value.(type) {
	case decimal:
		return strconv.FormatFloat(v.value, 'f', v.places, 64), false
	case int:
		return strconv.Itoa(v), false
	case int64:
		return strconv.FormatInt(v, 10), false
	case bool:
		return strconv.FormatBool(v), false
	case string:
		return v, true
	default:
		return "", true
	}
}

func (r *reply) status() []pair {
	return []pair{
		{"STATUS", r.letter}, {"When", r.when}, {"Code", r.code}, {"Msg", r.message}, {"Description", described},
	}
}

// text is the reply to a command that came as text. Nothing in it is escaped, commas neither.
func (r *reply) text() []byte {
	if r.restart {
		return []byte("RESTART|")
	}
	var b strings.Builder
	write := func(pairs []pair, more bool) {
		for i, p := range pairs {
			if i > 0 || more {
				b.WriteByte(',')
			}
			v, _ := render(p.value)
			b.WriteString(p.key + "=" + v)
		}
		b.WriteByte('|')
	}
	write(r.status(), false)
	for _, row := range r.rows {
		b.WriteString(r.name)
		if !row.plain {
			b.WriteString("=" + strconv.Itoa(row.index))
		}
		write(row.pairs, true)
	}
	return []byte(b.String())
}

// object writes the reply to a command that came as JSON; id closes the outermost one only.
func (r *reply) object(id bool) string {
	if r.restart {
		return `{"STATUS":"RESTART","id":1}`
	}
	var b strings.Builder
	b.WriteString(`{"STATUS":[`)
	members(&b, r.status())
	b.WriteString("]")
	if r.section != "" {
		b.WriteString(`,"` + r.section + `":[`)
		for i, row := range r.rows {
			if i > 0 {
				b.WriteByte(',')
			}
			pairs := row.pairs
			if !row.plain {
				pairs = append([]pair{{r.name, row.index}}, pairs...)
			}
			members(&b, pairs)
		}
		b.WriteByte(']')
	}
	if id {
		b.WriteString(`,"id":1`)
	}
	b.WriteByte('}')
	return b.String()
}

func members(b *strings.Builder, pairs []pair) {
	b.WriteByte('{')
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte(',')
		}
		v, quoted := render(p.value)
		if quoted {
			q, _ := json.Marshal(v)
			v = string(q)
		}
		b.WriteString(`"` + p.key + `":` + v)
	}
	b.WriteByte('}')
}

// request is a command, however it came.
type request struct {
	json               bool
	command, parameter string
}

// parse reads a request. What is wrong with it is told in the code, 0 where nothing is.
func parse(raw []byte) (q request, code int) {
	text := strings.TrimRight(string(raw), "\x00\r\n ")
	if !strings.HasPrefix(text, "{") {
		q.command, q.parameter, _ = strings.Cut(text, "|")
		// A client may end its command as the machine ends its replies.
		q.parameter = strings.TrimSuffix(q.parameter, "|")
		return q, 0
	}
	q.json = true
	var body struct {
		Command   any `json:"command"`
		Parameter any `json:"parameter"`
	}
	if json.Unmarshal([]byte(text), &body) != nil {
		return q, codeBadJSON
	}
	switch v := body.Parameter.(type) {
	case string:
		q.parameter = v
	case float64:
		q.parameter = strconv.FormatFloat(v, 'f', -1, 64)
	}
	name, ok := body.Command.(string)
	if !ok || name == "" {
		return q, codeNoCommand
	}
	q.command = name
	return q, 0
}
