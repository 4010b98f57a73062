package lease

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrNonsense wraps every refusal of a report for what no honest agent can say; the text names the field.
var ErrNonsense = errors.New("report makes no sense")

const (
	// parole is how long an agent in quarantine must talk sense before its reports count again.
	parole = 60 * time.Second
	// mostBackwards is how many reports in a row may be older than the newest: late ones of a former
	// connection are few, a clock that runs backwards makes only such.
	mostBackwards = 8
)

// Check says what of a report can't be.
func (r *Report) Check() error {
	for field, w := range map[string]Watts{
		"lease": r.LeaseWatts, "bound": r.Bound, "draw": r.Draw, "floor": r.Floor, "rated": r.Rated, "volatile": r.Volatile,
	} {
		if w < 0 {
			return nonsense("%s is %d W", field, w)
		}
	}
	switch {
	case r.Draw > r.Rated:
		return nonsense("draw of %d W is above its rated %d W", r.Draw, r.Rated)
	case r.Settle < 0 || r.AsOf < 0:
		return nonsense("time is negative")
	}
	return checkCurve(r.Curve)
}

func checkCurve(curve []Point) error {
	for i, p := range curve {
		switch {
		case math.IsNaN(p.THs) || math.IsInf(p.THs, 0) || p.THs < 0 || p.Watts < 0:
			return nonsense("curve holds %d W at %v TH/s", p.Watts, p.THs)
		case i > 0 && (p.Watts < curve[i-1].Watts || p.THs < curve[i-1].THs):
			return nonsense("curve falls after %d W", curve[i-1].Watts)
		}
	}
	return nil
}

func nonsense(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNonsense, fmt.Sprintf(format, args...))
}

// Quarantine stops counting the current run's reports: its devices count as rated, it gets no lease, and
// nobody else suffers. It ends with a run that talks sense from its start, or after a while of sense.
func (i *Issuer) Quarantine(why error) {
	if i.quarantine == nil {
		i.quarantine = why
	}
	i.sane = time.Time{}
}

// Quarantined is why reports do not count; nil where they do.
func (i *Issuer) Quarantined() error { return i.quarantine }

// trust says whether a report of this run counts.
func (i *Issuer) trust(now time.Time, r *Report) bool {
	if err := r.Check(); err != nil {
		i.Quarantine(err)
		return false
	}
	if i.backwards++; i.newer(*r) {
		i.backwards = 0
	}
	if i.backwards > mostBackwards {
		i.Quarantine(nonsense("its clock runs backwards"))
		return false
	}
	if i.quarantine == nil {
		return true
	}
	if i.sane.IsZero() {
		i.sane = now
	}
	if now.Sub(i.sane) >= parole && r.Epoch == i.epoch {
		i.quarantine = nil
		i.report.AsOf, i.report.Seq = 0, 0 // what it said before is no yardstick for what is newer
	}
	return i.quarantine == nil
}
