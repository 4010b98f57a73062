package minersim

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// Tuning are the knobs of the physics a fleet may turn.
type Tuning struct {
	// TolerancePercent bounds how far one machine's own nominal watts lie from the nameplate
	// (figures allow 5). Its hashrate lies within 3/5 of that.
	TolerancePercent float64 `json:"tolerancePercent"`
	// OverTargetPercent raises true watts over the target by up to this much, each machine by
	// its own share: a Braiins machine was seen at 3,137 W with a target of 3,031.
	OverTargetPercent float64 `json:"overTargetPercent"`
	// ReportErrorPercent bounds the constant error of the watts firmware estimates.
	ReportErrorPercent float64 `json:"reportErrorPercent"`
	// BootSeconds is how long a reboot keeps a machine off the network, each within a quarter.
	BootSeconds float64 `json:"bootSeconds"`
	// LateEffectSeconds and LateReplySeconds are what the persona late adds to the effect of a
	// command, after its reply, and to the reply.
	LateEffectSeconds float64 `json:"lateEffectSeconds"`
	LateReplySeconds  float64 `json:"lateReplySeconds"`
	// RebootEverySeconds is the mean time between reboots of the persona reboots-hot, each gap
	// within 30 %.
	RebootEverySeconds float64 `json:"rebootEverySeconds"`
}

// DefaultTuning is the physics of a fleet that says nothing about it.
func DefaultTuning() Tuning {
	return Tuning{
		TolerancePercent: 3, ReportErrorPercent: 1, BootSeconds: 40,
		LateEffectSeconds: 8, LateReplySeconds: 2, RebootEverySeconds: 300,
	}
}

// How true watts wander around the target: a constant offset and two slow waves, bounded
// together by 1.5 % (assumed; the tuner of real firmware wanders by itself).
const (
	offsetBound = 0.010
	slowWave    = 0.0035
	fastWave    = 0.0015
	// deviationCap bounds everything above the target together, OverTargetPercent included.
	deviationCap = 0.04
)

// Traits are what makes one machine differ from its siblings. They follow from the seed and
// the machine's key alone.
type Traits struct {
	Model Model
	// NominalWatts and NominalTeraHashes are this machine's own, nameplate tolerance included.
	NominalWatts, NominalTeraHashes float64
	// ResidualWatts is what control board, fans and supply draw asleep.
	ResidualWatts float64
	// Boot is how long a reboot keeps it off the network.
	Boot time.Duration
	// ReportError is the constant relative error of the watts firmware reports.
	ReportError float64
	// Persona timing.
	LateEffect, LateReply, RebootEvery time.Duration

	offset                 float64
	slowPhase, fastPhase   float64
	slowPeriod, fastPeriod float64 // seconds
	random                 *rand.Rand
}

// NewTraits draws a machine. residual is the firmware's watts asleep; each machine's own lies
// within a fifth of it.
func NewTraits(seed uint64, key string, model Model, residual float64, tuning Tuning) Traits {
	r := rand.New(rand.NewPCG(seed, keyOf(key)))
	either := func(bound float64) float64 { return bound * (2*r.Float64() - 1) }
	tolerance := tuning.TolerancePercent / 100
	t := Traits{
		Model:             model,
		NominalWatts:      model.Watts * (1 + either(tolerance)),
		NominalTeraHashes: model.TeraHashes * (1 + either(tolerance*0.6)),
		ResidualWatts:     residual * (1 + either(0.2)),
		Boot:              seconds(tuning.BootSeconds * (1 + either(0.25))),
		ReportError:       either(tuning.ReportErrorPercent / 100),
		LateEffect:        seconds(tuning.LateEffectSeconds),
		LateReply:         seconds(tuning.LateReplySeconds),
		RebootEvery:       seconds(tuning.RebootEverySeconds),
		offset:            either(offsetBound) + tuning.OverTargetPercent/100*r.Float64(),
		slowPhase:         either(math.Pi),
		fastPhase:         either(math.Pi),
		slowPeriod:        600 * (1 + either(0.2)),
		fastPeriod:        97 * (1 + either(0.2)),
		random:            r,
	}
	t.offset = math.Min(t.offset, deviationCap-slowWave-fastWave)
	return t
}

// deviation is how far true watts lie from the target at t, as a share; a smooth function.
func (t *Traits) deviation(at time.Duration) float64 {
	s := at.Seconds()
	return t.offset +
		slowWave*math.Sin(2*math.Pi*s/t.slowPeriod+t.slowPhase) +
		fastWave*math.Sin(2*math.Pi*s/t.fastPeriod+t.fastPhase)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// keyOf turns a name into a number that the seed is mixed with.
func keyOf(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}
