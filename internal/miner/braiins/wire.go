package braiins

import (
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The shapes below are those of the public REST API "1.x": the vendor's OpenAPI page, with recorded
// replies of 25.07, 25.11 and 26.04 where they differ.

// watt is how the API writes power: {"watt": 3500}, nullable.
type watt struct {
	Watt wire.Number `json:"watt"`
}

type session struct {
	Token string `json:"token"`
}

type details struct {
	Serial       wire.Text   `json:"serial_number"`
	MAC          wire.Text   `json:"mac_address"`
	Status       state       `json:"status"`
	UptimeS      wire.Number `json:"system_uptime_s"`
	MinerUptimeS wire.Number `json:"bosminer_uptime_s"`
	Version      struct {
		Current wire.Text `json:"current"`
	} `json:"bos_version"`
	Identity struct {
		// Model's number is 0 on some machines (26.04 on an S21 Pro); only the name is used.
		Name wire.Text `json:"miner_model"`
	} `json:"miner_identity"`
	Sticker struct {
		GHs wire.Number `json:"gigahash_per_second"`
	} `json:"sticker_hashrate"`
}

// isBraiins says whether a reply is one of this firmware at all.
func (d details) isBraiins() bool {
	return d.Version.Current != "" || d.Identity.Name != "" || d.Status != ""
}

type stats struct {
	Miner struct {
		Real struct {
			Last5s  pace `json:"last_5s"`
			Last15s pace `json:"last_15s"`
			Last1m  pace `json:"last_1m"`
		} `json:"real_hashrate"`
	} `json:"miner_stats"`
	Power struct {
		Approximated watt `json:"approximated_consumption"`
	} `json:"power_stats"`
}

// pace is a hash rate, GH/s, whichever unit it came in.
type pace struct {
	GHs wire.Number
}

// UnmarshalJSON never fails.
func (p *pace) UnmarshalJSON(data []byte) error {
	var said struct {
		Mega wire.Number `json:"megahash_per_second"`
		Giga wire.Number `json:"gigahash_per_second"`
		Tera wire.Number `json:"terahash_per_second"`
	}
	_ = wire.Decode(data, &said)
	switch {
	case said.Giga.Set:
		p.GHs = said.Giga
	case said.Tera.Set:
		p.GHs = wire.Number{Value: said.Tera.Value * 1e3, Set: true}
	case said.Mega.Set:
		p.GHs = wire.Number{Value: said.Mega.Value * 1e-3, Set: true}
	}
	return nil
}

// hashrate is the one of now, GH/s.
func (s stats) hashrate() wire.Number {
	real := s.Miner.Real
	for _, p := range []pace{real.Last5s, real.Last15s} {
		if p.GHs.Set {
			return p.GHs
		}
	}
	return real.Last1m.GHs
}

type tunerState struct {
	Overall wire.Number `json:"overall_tuner_state"`
	Mode    struct {
		PowerTarget struct {
			Current watt `json:"current_target"`
		} `json:"powertargetmodestate"`
	} `json:"mode_state"`
}

type constraints struct {
	Tuner struct {
		PowerTarget struct {
			Min     watt `json:"min"`
			Max     watt `json:"max"`
			Default watt `json:"default"`
		} `json:"power_target"`
	} `json:"tuner_constraints"`
	Hashboards struct {
		QuickRamping struct {
			Default wire.Number `json:"default"`
		} `json:"quick_ramping_time_s"`
	} `json:"hashboards_constraints"`
}

// configuration is read for the configured target and ramp times only; it also holds pool credentials,
// which are left where they are.
type configuration struct {
	Tuner struct {
		PowerTarget watt `json:"power_target"`
	} `json:"tuner"`
	Hashboards struct {
		RampUpS   wire.Number `json:"quick_ramping_time_up_s"`
		RampDownS wire.Number `json:"quick_ramping_time_down_s"`
	} `json:"hashboard_config"`
}

type cooling struct {
	Highest struct {
		Temperature struct {
			DegreeC wire.Number `json:"degree_c"`
		} `json:"temperature"`
	} `json:"highest_temperature"`
}

// boards are for where nothing else tells a temperature.
type boards struct {
	All wire.List[struct {
		Board degrees `json:"board_temp"`
		Chip  struct {
			Temperature degrees `json:"temperature"`
		} `json:"highest_chip_temp"`
	}] `json:"hashboards"`
}

type degrees struct {
	C wire.Number `json:"degree_c"`
}

// hottest is the hottest chip, else board; nil where none says anything.
func (b boards) hottest() *float64 {
	var most *float64
	for _, one := range b.All {
		n := one.Chip.Temperature.C
		if !n.Set {
			n = one.Board.C
		}
		if n.Set && n.Value > 0 && (most == nil || n.Value > *most) {
			most = &n.Value
		}
	}
	return most
}

type problems struct {
	Errors wire.List[struct {
		Message wire.Text `json:"message"`
	}] `json:"errors"`
}

// maxFaults bounds what one reading carries.
const maxFaults = 8

func (p problems) faults() []string {
	var faults []string
	for _, e := range p.Errors {
		if e.Message != "" && len(faults) < maxFaults {
			faults = append(faults, string(e.Message))
		}
	}
	return faults
}

// Tuner states that matter here.
const (
	tunerError   = 4
	tunerPreheat = 6
)

// state is miner_details.status: an integer in recorded replies, a word in the streamed form.
type state string

const (
	notStarted state = "not_started"
	normal     state = "normal"
	paused     state = "paused"
	suspended  state = "suspended"
	restricted state = "restricted"
)

// UnmarshalJSON accepts 2 and "normal"; a number without a name is kept as it is.
func (s *state) UnmarshalJSON(data []byte) error {
	var text wire.Text
	_ = text.UnmarshalJSON(data)
	names := map[string]state{"1": notStarted, "2": normal, "3": paused, "4": suspended, "5": restricted}
	if name, ok := names[string(text)]; ok {
		*s = name
		return nil
	}
	*s = state(strings.TrimPrefix(strings.ToLower(string(text)), "miner_status_"))
	return nil
}

// hashingGHs is the hash rate from which a machine counts as hashing, GH/s: below it is what a ramp
// leaves in a five-second average.
const hashingGHs = 100

// minerState judges the machine. A machine that is paused and still hashes is on its way down; one that
// should hash and does not is on its way up, and counts as rated until it does (rule L5).
func minerState(status state, hashrate wire.Number, tuner tunerState) miner.State {
	hashes := hashrate.Set && hashrate.Value >= hashingGHs
	switch status {
	case paused:
		if hashes {
			return miner.Stopping
		}
		return miner.Sleeping
	case normal, restricted:
		return atWork(hashrate, hashes, tuner)
	case notStarted:
		return miner.Starting
	case "": // nothing but the hash rate tells
		if hashes {
			return miner.Hashing
		}
		return miner.Unknown
	case suspended:
		// The firmware stopped it and may start it again by itself: nobody's sleep.
		return miner.Failed
	default:
		return miner.Unknown
	}
}

// atWork is the state of a machine that says it should hash.
func atWork(hashrate wire.Number, hashes bool, tuner tunerState) miner.State {
	overall, _ := tuner.Overall.Int()
	switch {
	case !hashrate.Set:
		return miner.Unknown
	case overall == tunerPreheat || !hashes:
		return miner.Starting
	}
	return miner.Hashing
}

// seconds turns the first number that is set into a duration.
func seconds(numbers ...wire.Number) *time.Duration {
	for _, n := range numbers {
		if d := n.Seconds(); d != nil {
			return d
		}
	}
	return nil
}
