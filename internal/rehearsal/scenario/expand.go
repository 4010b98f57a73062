package scenario

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

var placeholder = regexp.MustCompile(`\$\(now([^)]*)\)`)

// ExpandTimes replaces $(now), $(now+20s) and $(now-5s) by RFC 3339 times. The API keeps whole seconds
// only, so times are rounded up: a notice period is never shorter than written.
func ExpandTimes(text string, now time.Time) (string, error) {
	var bad error
	out := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		offset := strings.ReplaceAll(placeholder.FindStringSubmatch(found)[1], " ", "")
		var by time.Duration
		if offset != "" {
			parsed, err := time.ParseDuration(offset)
			if err != nil || (offset[0] != '+' && offset[0] != '-') {
				bad = fmt.Errorf("%s is not a time: want one such as $(now), $(now+20s) or $(now-1m)", found)
				return found
			}
			by = parsed
		}
		at := now.Add(by)
		if up := at.Truncate(time.Second); up.Before(at) {
			at = up.Add(time.Second)
		}
		return at.UTC().Format(time.RFC3339)
	})
	return out, bad
}
