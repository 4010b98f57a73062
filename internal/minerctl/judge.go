package minerctl

import (
	"fmt"
	"math"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

const (
	// asleepWatts is a draw that no big machine has asleep; asleepShare is what small ones stay under.
	asleepWatts = 200
	asleepShare = 0.1
	// asleepResiduals is how often what a driver takes for the draw asleep may be read.
	asleepResiduals = 2
	// asleepHash is the share of the hash rate before that counts as none: an average's tail.
	asleepHash = 0.01
	// tellable is the share of watts from which a change shows in them.
	tellable = 0.02
	// tracks is how near its target a machine draws that is held by it.
	tracks = 0.05
	// moved is the part of a change that has to show.
	moved = 0.5
	// hashTells is the share of watts from which a change shows in the hash rate, which averages swing around, and
	// hashMoved the part of it that has to show.
	hashTells, hashMoved = 0.15, 0.25
	// sameTarget is how near two targets are one: firmwares round.
	sameTarget = 0.01
)

// judge says whether what was commanded happened, by what is read.
type judge struct {
	plan
	before   miner.Reading
	can      miner.Capabilities
	identity miner.Identity
}

// missing is empty where it happened, and else says what is not so yet.
func (j *judge) missing(r miner.Reading) string {
	switch {
	case j.order.Sleep:
		return j.missingAsleep(r)
	case j.order.Wake:
		return j.missingAwake(r)
	}
	for _, look := range []func(miner.Reading) string{j.missingHash, j.missingTarget, j.missingWatts, j.missingMove, j.missingRate} {
		if what := look(r); what != "" {
			return what
		}
	}
	return ""
}

// awakeWatts is a draw that this machine has only awake.
func (j *judge) awakeWatts() int64 {
	usual := max(j.can.NameplateWatts, 0)
	if j.before.State == miner.Hashing && j.before.Watts != nil {
		usual = max(usual, *j.before.Watts)
	}
	least := int64(asleepWatts)
	if usual > 0 {
		least = min(least, int64(math.Ceil(float64(usual)*asleepShare)))
	}
	return max(least, asleepResiduals*j.can.ResidualWatts)
}

// awakeTHs is a hash rate that this machine has only awake.
func (j *judge) awakeTHs() float64 {
	usual := j.can.NameplateTHs
	if j.before.HashrateTHs != nil {
		usual = max(usual, *j.before.HashrateTHs)
	}
	return usual * asleepHash
}

func (j *judge) missingAsleep(r miner.Reading) string {
	switch {
	case r.State != miner.Sleeping:
		return fmt.Sprintf("it is %s, not asleep", r.State)
	case r.Watts != nil && *r.Watts > j.awakeWatts():
		return fmt.Sprintf("it says that it sleeps and draws %d W", *r.Watts)
	case r.HashrateTHs != nil && *r.HashrateTHs > j.awakeTHs():
		return fmt.Sprintf("it says that it sleeps and hashes at %s TH/s", plain(*r.HashrateTHs))
	case r.Watts == nil && r.HashrateTHs == nil:
		return "it says that it sleeps, and names neither watts nor hash rate to see it by"
	}
	return ""
}

func (j *judge) missingAwake(r miner.Reading) string {
	if what := j.missingHash(r); what != "" {
		return what
	}
	switch {
	case r.Watts != nil && *r.Watts <= j.awakeWatts():
		return fmt.Sprintf("it says that it hashes and draws only %d W", *r.Watts)
	case r.Watts == nil && (r.HashrateTHs == nil || *r.HashrateTHs <= j.awakeTHs()):
		return "it says that it hashes, and names neither watts nor a hash rate to see it by"
	}
	return ""
}

func (j *judge) missingHash(r miner.Reading) string {
	if r.State == miner.Hashing {
		return ""
	}
	return fmt.Sprintf("it is %s, not hashing", r.State)
}

// missingTarget compares what the machine follows with what it was told, where it says so.
func (j *judge) missingTarget(r miner.Reading) string {
	if j.mode != "" && r.Mode != "" {
		// A target beside its mode may count the watts of its boards, and the mode's watts those at the wall.
		if r.Mode != j.mode {
			return fmt.Sprintf("mode %s is in force", r.Mode)
		}
		return ""
	}
	if j.watts != nil && r.Effective != nil && !near(*r.Effective, *j.watts, sameTarget) {
		return fmt.Sprintf("it follows a target of %d W", *r.Effective)
	}
	return ""
}

func near(a, b int64, share float64) bool {
	return math.Abs(float64(a-b)) <= share*float64(b)
}

// follows says that the machine names what it follows, so that watts are not all there is.
func (j *judge) follows(r miner.Reading) bool {
	return r.Effective != nil && j.watts != nil || j.mode != "" && r.Mode != ""
}

func (j *judge) missingWatts(r miner.Reading) string {
	switch {
	case r.Watts == nil && !(j.follows(r) && r.HashrateTHs != nil):
		return "it names neither its watts nor what else to see it by"
	case r.Watts == nil || j.watts == nil:
		return ""
	}
	drawn, told := float64(*r.Watts), float64(*j.watts)
	switch {
	case drawn > told*(1+j.over):
		return fmt.Sprintf("it draws %d W, more than it was told", *r.Watts)
	case drawn < told*(1-j.under):
		return fmt.Sprintf("it draws only %d W", *r.Watts)
	}
	return ""
}

// change is by how much watts should have moved, and whether that is known: not where the machine did not hash
// before. A machine is held against its target where it draws about that; one that draws less anyway, against what it
// drew.
func (j *judge) change() (float64, bool) {
	b := j.before
	if j.watts == nil || b.State != miner.Hashing || b.Watts == nil {
		return 0, false
	}
	told, drew := float64(*j.watts), float64(*b.Watts)
	if b.Effective == nil {
		return told - drew, true
	}
	followed := float64(*b.Effective)
	switch {
	case math.Abs(drew-followed) <= tracks*followed:
		return told - followed, true
	case told >= min(drew, followed) && told <= max(drew, followed):
		return 0, true
	}
	return told - drew, true
}

// tells says that a change is one that watts can show.
func (j *judge) tells(change float64) bool {
	return math.Abs(change) >= tellable*float64(*j.watts)
}

func (j *judge) missingMove(r miner.Reading) string {
	change, known := j.change()
	if !known || r.Watts == nil {
		return ""
	}
	if !j.tells(change) {
		if change != 0 && !j.follows(r) {
			return fmt.Sprintf("it draws %d W, and a change of %.0f W is too small to tell", *r.Watts, change)
		}
		return ""
	}
	if done := float64(*r.Watts - *j.before.Watts); done/change < moved {
		return fmt.Sprintf("it draws %d W, as good as before", *r.Watts)
	}
	return ""
}

// missingRate holds an estimate, or no watts at all, against the hash rate: it has to have gone the same way.
func (j *judge) missingRate(r miner.Reading) string {
	if r.Watts != nil && r.WattsSource != miner.Estimate || r.HashrateTHs == nil || j.before.HashrateTHs == nil {
		return ""
	}
	change, known := j.share()
	if !known || math.Abs(change) < hashTells || *j.before.HashrateTHs <= 0 {
		return ""
	}
	if done := *r.HashrateTHs / *j.before.HashrateTHs - 1; done/change < hashMoved {
		return fmt.Sprintf("it hashes at %s TH/s, as good as before", plain(*r.HashrateTHs))
	}
	return ""
}

// share is the change as a share of what was before: of watts, else of the target that was followed.
func (j *judge) share() (float64, bool) {
	if change, known := j.change(); known && *j.before.Watts > 0 {
		return change / float64(*j.before.Watts), true
	}
	b := j.before
	if j.watts == nil || b.State != miner.Hashing || b.Watts != nil || b.Effective == nil || *b.Effective <= 0 {
		return 0, false
	}
	return float64(*j.watts)/float64(*b.Effective) - 1, true
}

// late says that an order happened, as measured watts show, where states take longer: some firmwares search their
// clocks for half an hour after a wake, and the averages that say "stopping" go on after the watts are gone.
func (j *judge) late(r miner.Reading) bool {
	if r.Watts == nil || r.WattsSource == miner.Estimate {
		return false
	}
	return j.order.Wake && r.State == miner.Starting && *r.Watts > j.awakeWatts() ||
		j.order.Sleep && r.State == miner.Stopping && *r.Watts <= j.awakeWatts()
}

// by says what was judged by, and what a person should know of that.
func (j *judge) by(r miner.Reading) string {
	text := ""
	switch {
	case r.Watts == nil:
		text = "state and hash rate, as it names no watts"
		if j.follows(r) {
			text = "state, hash rate and the target it names, as it names no watts"
		}
		return text
	case r.WattsSource == miner.Estimate:
		text = "the firmware's own estimate of watts"
		if r.HashrateTHs != nil {
			text += " and the hash rate"
		}
		text += ": nothing measured them"
	default:
		text = "watts " + sourceWords[r.WattsSource]
	}
	if change, known := j.change(); known && change != 0 && !j.tells(change) {
		text += fmt.Sprintf("; a change of %.0f W is too small for them, so by the target it names as well", change)
	}
	return text
}
