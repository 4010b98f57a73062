package braiins

import (
	"errors"
	"strings"
	"unicode"
)

// selected is one field that a query asks for.
type selected struct {
	name string
	// args is the text between its brackets.
	args string
	sub  []selected
}

// maxDepth bounds how deep a query may nest.
const maxDepth = 16

var errQuery = errors.New("syntax error")

// parseQuery reads a document of one operation, of which only the fields matter.
func parseQuery(text string) ([]selected, error) {
	start := strings.IndexByte(text, '{')
	if start < 0 {
		return nil, errQuery
	}
	p := parser{text: text, at: start}
	return p.set(0)
}

type parser struct {
	text string
	at   int
}

// skip passes over what means nothing.
func (p *parser) skip() {
	for p.at < len(p.text) && (p.text[p.at] == ',' || unicode.IsSpace(rune(p.text[p.at]))) {
		p.at++
	}
}

// take tells whether something comes next, and passes over it.
func (p *parser) take(what string) bool {
	p.skip()
	if !strings.HasPrefix(p.text[p.at:], what) {
		return false
	}
	p.at += len(what)
	return true
}

func (p *parser) word() string {
	p.skip()
	rest := p.text[p.at:]
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		end = len(rest)
	}
	p.at += end
	return rest[:end]
}

// set reads the fields between braces; those of a fragment count as its parent's.
func (p *parser) set(depth int) ([]selected, error) {
	if depth > maxDepth || !p.take("{") {
		return nil, errQuery
	}
	var fields []selected
	for !p.take("}") {
		next, err := p.field(depth)
		if err != nil {
			return nil, err
		}
		fields = append(fields, next...)
	}
	return fields, nil
}

func (p *parser) field(depth int) ([]selected, error) {
	if p.take("...") {
		if p.word() != "on" || p.word() == "" {
			return nil, errQuery
		}
		return p.set(depth + 1)
	}
	f := selected{name: p.word()}
	if f.name == "" {
		return nil, errQuery
	}
	if p.take("(") {
		if err := p.arguments(&f); err != nil {
			return nil, err
		}
	}
	if p.skip(); p.at < len(p.text) && p.text[p.at] == '{' {
		sub, err := p.set(depth + 1)
		if err != nil {
			return nil, err
		}
		f.sub = sub
	}
	return []selected{f}, nil
}

// arguments reads on to the bracket that closes.
func (p *parser) arguments(f *selected) error {
	start := p.at
	for open := 1; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '(':
			open++
		case ')':
			if open--; open == 0 {
				f.args = p.text[start:p.at]
				p.at++
				return nil
			}
		}
	}
	return errQuery
}

// action is a field that does something when it is asked for.
type action func(args string) any

// project is what a query asks for out of all there is; a field that is not there, or of which nothing is asked, is null.
func project(value any, fields []selected) any {
	switch v := value.(type) {
	case object:
		if len(fields) == 0 {
			return nil
		}
		out := object{}
		for _, f := range fields {
			inner := v[f.name]
			if do, ok := inner.(action); ok {
				inner = do(f.args)
			}
			out[f.name] = project(inner, f.sub)
		}
		return out
	case []object:
		list := make([]any, len(v))
		for i := range v {
			list[i] = project(v[i], fields)
		}
		return list
	default:
		return value
	}
}
