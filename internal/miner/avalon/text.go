package avalon

import (
	"encoding/json"
	"strings"
)

// maxSections bounds the sections of a reply in text.
const maxSections = 64

// jsonOf makes JSON of a reply in text, so that both are read alike:
// "STATUS=S,Code=70,Msg=…|STATS=0,Elapsed=6354,MM ID0=Ver[…] …,MM Count=1|".
func jsonOf(data []byte) []byte {
	reply := map[string][]map[string]string{}
	for _, section := range strings.SplitN(string(data), "|", maxSections) {
		fields := fieldsOf(section)
		name := sectionName(section)
		if name != "" && len(fields) > 0 {
			reply[name] = append(reply[name], fields)
		}
	}
	out, err := json.Marshal(reply)
	if err != nil { // strings always marshal
		return nil
	}
	return out
}

// sectionName is what a section begins with: "STATUS=S,…", "VERSION,CGMiner=…".
func sectionName(section string) string {
	end := strings.IndexAny(section, "=,")
	if end < 0 {
		return ""
	}
	return strings.TrimSpace(section[:end])
}

// fieldsOf takes a section apart at its commas. Commas within brackets are text, and so are those after which no
// name follows. The first of two fields of one name counts.
func fieldsOf(section string) map[string]string {
	fields := map[string]string{}
	name, start := "", 0
	keep := func(end int) {
		if _, twice := fields[name]; name != "" && !twice {
			fields[name] = section[start:end]
		}
	}
	for from := 0; from <= len(section); {
		end := from + partLength(section[from:])
		next, _, named := strings.Cut(section[from:end], "=")
		if named && !strings.ContainsAny(next, "[]") {
			keep(max(0, from-1))
			name, start = strings.TrimSpace(next), from+len(next)+1
		}
		from = end + 1
	}
	keep(len(section))
	return fields
}

// partLength is how far it is to the first comma outside of brackets.
func partLength(text string) int {
	depth := 0
	for i := range len(text) {
		switch {
		case text[i] == '[':
			depth++
		case text[i] == ']':
			depth = max(0, depth-1)
		case text[i] == ',' && depth == 0:
			return i
		}
	}
	return len(text)
}
