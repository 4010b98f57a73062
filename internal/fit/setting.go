package fit

import (
	"fmt"
	"strconv"
	"strings"
)

// String is how a setting is remembered outside this process: "Sleep", "3500W", "mode:NAME" or
// "mode:NAME@3500W". ParseSetting reads it back.
func (s Setting) String() string {
	switch {
	case s.Kind == Sleep:
		return "Sleep"
	case s.Kind == HashWatts:
		return strconv.FormatInt(int64(s.Watts), 10) + "W"
	case s.Watts > 0:
		return fmt.Sprintf("mode:%s@%dW", s.Mode, s.Watts)
	default:
		return "mode:" + s.Mode
	}
}

// ParseSetting reads what Setting.String wrote.
func ParseSetting(text string) (Setting, error) {
	if text == "Sleep" {
		return Setting{Kind: Sleep}, nil
	}
	if name, ok := strings.CutPrefix(text, "mode:"); ok {
		s := Setting{Kind: HashMode, Mode: name}
		if i := strings.LastIndexByte(name, '@'); i >= 0 {
			if w, err := parseWatts(name[i+1:]); err == nil {
				s.Mode, s.Watts = name[:i], w
			}
		}
		return s, nil
	}
	w, err := parseWatts(text)
	if err != nil {
		return Setting{}, fmt.Errorf("setting %q: %w", text, err)
	}
	return Setting{Kind: HashWatts, Watts: w}, nil
}

func parseWatts(text string) (Watts, error) {
	digits, ok := strings.CutSuffix(text, "W")
	if !ok {
		return 0, fmt.Errorf("no unit W in %q", text)
	}
	w, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("watts: %w", err)
	}
	if w <= 0 {
		return 0, fmt.Errorf("%d W is no target", w)
	}
	return Watts(w), nil
}
