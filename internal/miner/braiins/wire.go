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
	Token wire.Text `json:"token"`
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
			Last5s struct {
				GHs wire.Number `json:"gigahash_per_second"`
			} `json:"last_5s"`
		} `json:"real_hashrate"`
	} `json:"miner_stats"`
	Power struct {
		Approximated watt `json:"approximated_consumption"`
	} `json:"power_stats"`
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
	*s = state(strings.ToLower(string(text)))
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
		overall, _ := tuner.Overall.Int()
		switch {
		case !hashrate.Set:
			return miner.Unknown
		case overall == tunerPreheat || !hashes:
			return miner.Starting
		}
		return miner.Hashing
	case notStarted:
		return miner.Starting
	case suspended:
		// The firmware stopped it and may start it again by itself: nobody's sleep.
		return miner.Failed
	default:
		return miner.Unknown
	}
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
