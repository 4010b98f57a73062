package braiins

import (
	"cmp"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of the mining program's RPC on 4028 (BOSminer, since 22.02 BOSer): the vendor's
// page, with recorded replies of 22.08, 24.09 and 25.05.

// rpcReply is any reply; what the command does not give stays empty.
type rpcReply struct {
	Status  wire.Statuses         `json:"STATUS"`
	Version wire.List[rpcVersion] `json:"VERSION"`
	Summary wire.List[rpcSummary] `json:"SUMMARY"`
	Tuner   wire.List[rpcTuner]   `json:"TUNERSTATUS"`
	Boards  wire.List[rpcBoard]   `json:"DEVDETAILS"`
	Temps   wire.List[rpcTemp]    `json:"TEMPS"`
}

type rpcVersion struct {
	BOSer    wire.Text `json:"BOSer"`
	BOSminer wire.Text `json:"BOSminer"`
	Plus     wire.Text `json:"BOSminer+"`
	// The releases of 2018 and 2019 were a bmminer of their own.
	BMMiner wire.Text `json:"BMMiner"`
	Type    wire.Text `json:"Type"`
}

type rpcSummary struct {
	MHs5s   wire.Number `json:"MHS 5s"`
	MHs1m   wire.Number `json:"MHS 1m"`
	GHs5s   wire.Number `json:"GHS 5s"` // of 2018
	Elapsed wire.Number `json:"Elapsed"`
}

type rpcTuner struct {
	Miner   wire.Number `json:"ApproximateMinerPowerConsumption"`
	Limit   wire.Number `json:"PowerLimit"`
	Scaling scaling     `json:"DynamicPowerScaling"`
	Chains  wire.List[struct {
		Status wire.Text `json:"Status"`
	}] `json:"TunerChainStatus"`
}

// scaling is the lower limit that the machine set itself, where it scales: a word, or an object.
type scaling struct {
	Limit wire.Number
}

// UnmarshalJSON never fails.
func (s *scaling) UnmarshalJSON(data []byte) error {
	var held struct {
		Limit wire.Number `json:"ScaledPowerLimit"`
	}
	_ = wire.Decode(data, &held)
	s.Limit = held.Limit
	return nil
}

type rpcBoard struct {
	Model wire.Text `json:"Model"`
}

type rpcTemp struct {
	Board wire.Number `json:"Board"`
	Chip  wire.Number `json:"Chip"`
}

// isBraiins says whether a reply is one of this firmware: each names its program.
func (r rpcReply) isBraiins() bool {
	said := r.Status.First()
	for _, text := range []wire.Text{said.Description, said.Message, wire.Text(r.named()), r.Version.First().Type} {
		name := strings.ToLower(string(text))
		for _, own := range []string{"boser", "bosminer", "braiins", "bmminer bos_"} {
			if strings.HasPrefix(name, own) {
				return true
			}
		}
	}
	return false
}

// named is the program and its release as version names them.
func (r rpcReply) named() string {
	v := r.Version.First()
	switch {
	case v.BOSer != "":
		return "BOSer " + string(v.BOSer)
	case v.Plus != "":
		return "BOSminer+ " + string(v.Plus)
	case v.BOSminer != "":
		return "BOSminer " + string(v.BOSminer)
	case v.BMMiner != "":
		return string(v.BMMiner)
	}
	return ""
}

// release is the version of the program; that of the firmware is not said here.
func (r rpcReply) release() string { return cmp.Or(r.named(), string(r.Status.First().Description)) }

// unavailable says that there are no boards to tell of, which is how a paused machine answers; one that
// starts may do so as well.
func (r rpcReply) unavailable() bool {
	return strings.EqualFold(string(r.Status.First().Message), "unavailable")
}

// hottest is the hottest board, nil where none says anything.
func (r rpcReply) hottest() *float64 {
	var hottest *float64
	for _, t := range r.Temps {
		n := t.Chip
		if !n.Set || n.Value <= 0 {
			n = t.Board
		}
		if n.Set && n.Value > 0 && (hottest == nil || n.Value > *hottest) {
			hottest = &n.Value
		}
	}
	return hottest
}

func (t rpcTuner) limit() *int64 { return positive(t.Limit) }

// positive watts; 0 is no limit.
func positive(n wire.Number) *int64 {
	if told := n.Watts(); told != nil && *told > 0 {
		return told
	}
	return nil
}

// paused says that the tuner calls every chain paused.
func (t rpcTuner) paused() bool {
	for _, c := range t.Chains {
		if !strings.HasPrefix(strings.ToLower(string(c.Status)), "paused") {
			return false
		}
	}
	return len(t.Chains) > 0
}

// olderLook is what one reading is made of.
type olderLook struct {
	summary rpcSummary
	tuner   rpcTuner
	idle    bool // there are no boards to tell of
}

const (
	// perTH is how many of the program's own unit, MH/s, one TH/s is.
	perTH = 1e6
	// idleWatts is a draw that no machine has that hashes, and none that starts its boards.
	idleWatts = 100
)

// hashrate is the one of now, MH/s.
func (l olderLook) hashrate() wire.Number {
	switch ghs := l.summary.GHs5s; {
	case l.summary.MHs5s.Set:
		return l.summary.MHs5s
	case ghs.Set:
		return wire.Number{Value: ghs.Value * 1e3, Set: true}
	}
	return l.summary.MHs1m
}

func (l olderLook) hashes() bool { return l.hashrate().Value >= hashingGHs*1e3 }

// state judges the machine by its hash rate, its boards and its watts together: none of them alone makes a
// sleeping machine.
func (l olderLook) state() miner.State {
	drawn := l.tuner.Miner.Watts()
	switch {
	case !l.hashrate().Set:
		return miner.Unknown
	case l.hashes():
		return miner.Hashing
	case (l.idle || l.tuner.paused()) && drawn != nil && *drawn <= idleWatts:
		return miner.Sleeping
	case l.idle && drawn == nil:
		return miner.Unknown
	}
	return miner.Starting
}

func (l olderLook) reading() miner.Reading {
	r := miner.Reading{
		State:       l.state(),
		HashrateTHs: l.hashrate().Scaled(1 / perTH),
		TargetWatts: l.tuner.limit(),
		Uptime:      l.summary.Elapsed.Seconds(),
	}
	// The program reckons its watts; 0 is no reading, and a paused machine draws what runs beside the boards.
	if r.Watts = positive(l.tuner.Miner); r.Watts == nil && r.State == miner.Sleeping {
		r.Watts = new(int64(residualWatts))
	}
	if r.Watts != nil {
		r.WattsSource = miner.Estimate
	}
	if r.State == miner.Sleeping {
		return r
	}
	// With dynamic scaling it goes back up to its limit by itself.
	r.Effective, r.Ceiling = r.TargetWatts, r.TargetWatts
	if scaled := positive(l.tuner.Scaling.Limit); scaled != nil {
		r.Effective = scaled
		if r.Ceiling == nil || *scaled > *r.Ceiling {
			r.Ceiling = scaled
		}
	}
	return r
}
