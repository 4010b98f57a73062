package link

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

// What a message may hold at most. A message past any of these is refused whole.
const (
	maxWatts     = 1_000_000_000_000      // 1 TW
	maxClock     = 100 * 8766 * time.Hour // 100 years
	maxRanges    = 4096
	maxPorts     = 64
	maxPriors    = 65536
	maxName      = 128
	maxText      = 512
	maxPoints    = 64
	maxTroubles  = 64
	maxDevices   = 1 << 20
	maxTHs       = 1e12
	maxUncertain = 100
)

// ErrBounds wraps every refusal of a message for what it holds; the text names the field.
var ErrBounds = errors.New("message out of bounds")

// checker keeps the first field found out of bounds.
type checker struct{ err error }

func (c *checker) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s: %s", ErrBounds, field, fmt.Sprintf(format, args...))
	}
}

func (c *checker) between(field string, v, low, high int64) {
	if v < low || v > high {
		c.fail(field, "%d is not between %d and %d", v, low, high)
	}
}

func (c *checker) watts(field string, v int64) lease.Watts {
	c.between(field, v, 0, maxWatts)
	return lease.Watts(v)
}

func (c *checker) duration(field string, nanos int64) time.Duration {
	c.between(field, nanos, 0, int64(maxClock))
	return time.Duration(nanos)
}

func (c *checker) size(field string, n, most int) {
	if n > most {
		c.fail(field, "%d entries, at most %d", n, most)
	}
}

func (c *checker) text(field, s string, most int) string {
	if len(s) > most {
		c.fail(field, "%d bytes, at most %d", len(s), most)
	}
	return s
}

func (c *checker) set(field string, v uint64) {
	if v == 0 {
		c.fail(field, "missing")
	}
}

func (c *checker) ths(field string, v float64) float64 {
	if math.IsNaN(v) || v < 0 || v > maxTHs {
		c.fail(field, "%v is not between 0 and %g", v, float64(maxTHs))
	}
	return v
}

func (c *checker) settings(field string, m map[string]string) {
	c.size(field, len(m), maxPriors)
	for k, v := range m {
		c.text(field+" key", k, maxName)
		c.text(field+" of "+k, v, maxText)
		if c.err != nil {
			return
		}
	}
}
