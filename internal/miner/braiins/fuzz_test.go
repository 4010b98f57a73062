package braiins

import (
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// FuzzReading: whatever a machine sends, a reading keeps what the rest of the house relies on.
func FuzzReading(f *testing.F) {
	f.Add(`2`, `114250.5`, `2472`, `2`, `{"watt":2431}`, `{"watt":3031}`)
	f.Add(`"3"`, `0`, `"38"`, `5`, `null`, `{"watt":null}`)
	f.Add(`"normal"`, `"1e5"`, `-1`, `"6"`, `{"watt":"2431.5"}`, `[]`)
	f.Add(`4`, `null`, `1e300`, `4`, `{}`, `{"watt":{"watt":1}}`)
	f.Fuzz(func(t *testing.T, status, ghs, watts, overall, current, told string) {
		rawDetails := []byte(`{"bos_version":{"current":"x"},"system_uptime_s":5,"status":` + status + `}`)
		rawStats := []byte(`{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":` + ghs +
			`}}},"power_stats":{"approximated_consumption":{"watt":` + watts + `}}}`)
		rawTuner := []byte(`{"overall_tuner_state":` + overall + `,"mode_state":{"powertargetmodestate":{"current_target":` + current + `}}}`)
		rawConfiguration := []byte(`{"tuner":{"power_target":` + told + `}}`)
		var who details
		var now stats
		var tuner tunerState
		var configured configuration
		_ = wire.Decode(rawDetails, &who)
		_ = wire.Decode(rawStats, &now)
		_ = wire.Decode(rawTuner, &tuner)
		_ = wire.Decode(rawConfiguration, &configured)
		r := readingOf(who, now, tuner, configured.Tuner.PowerTarget.Watt.Watts())
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts < 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
			t.Errorf("ceiling %v under the target in force %d W", r.Ceiling, *r.Effective)
		}
		if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil) {
			t.Error("a sleeping machine has a target in force")
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") {
			t.Errorf("state %q, watts %v from %q", r.State, r.Watts, r.WattsSource)
		}
		if r.Uptime != nil && *r.Uptime < 0 {
			t.Errorf("uptime %v", *r.Uptime)
		}
	})
}

// FuzzCapabilities: a range is offered only where it is one.
func FuzzCapabilities(f *testing.F) {
	m := s19xp().Replies
	f.Add([]byte(m["miner/details"]), []byte(m["configuration/constraints"]))
	f.Add([]byte(`{"status":2}`), []byte(`{"tuner_constraints":{"power_target":{"min":{"watt":"1"},"max":{"watt":2}}}}`))
	f.Add([]byte(`{"sticker_hashrate":{"gigahash_per_second":-1}}`), []byte(`{"tuner_constraints":{"power_target":{"min":null,"max":{"watt":1e9}}}}`))
	f.Fuzz(func(t *testing.T, rawDetails, rawConstraints []byte) {
		var who details
		var limits constraints
		_ = wire.Decode(rawDetails, &who)
		_ = wire.Decode(rawConstraints, &limits)
		c := capabilitiesOf(who, limits)
		if c.Continuous != (c.MinWatts > 0 && c.MaxWatts >= c.MinWatts && c.StepWatts > 0) || c.MaxWatts > wire.MaxWatts {
			t.Errorf("range %d to %d W, continuous %v", c.MinWatts, c.MaxWatts, c.Continuous)
		}
		if c.NameplateWatts < 0 || c.NameplateTHs < 0 {
			t.Errorf("nameplate %d W, %v TH/s", c.NameplateWatts, c.NameplateTHs)
		}
	})
}

// FuzzOlder: whatever a program answers, a reading keeps what the rest of the house relies on.
func FuzzOlder(f *testing.F) {
	f.Add([]byte(summarised("13450000")), []byte(tuned("1419", "1420", `{"ScaledPowerLimit":1500}`, "Stable")), []byte(unavailable))
	f.Add([]byte(summarised("0")), []byte(tuned("0", "0", `"Disabled"`, "paused")), []byte(`{"STATUS":"S"}`))
	f.Add([]byte(`{"SUMMARY":{"MHS 1m":"-1e14"}}`), []byte(`{"TUNERSTATUS":[{"PowerLimit":-1,"TunerChainStatus":[1]}],"VERSION":[{"BOSminer+":"x"}]}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, rawSummary, rawTuner, rawBoards []byte) {
		var summary, tuner, boards rpcReply
		_ = wire.Decode(rawSummary, &summary)
		_ = wire.Decode(rawTuner, &tuner)
		_ = wire.Decode(rawBoards, &boards)
		now := olderLook{summary: summary.Summary.First(), tuner: tuner.Tuner.First(), idle: boards.unavailable()}
		r := now.reading()
		for name, watts := range map[string]*int64{"watts": r.Watts, "target": r.TargetWatts, "effective": r.Effective, "ceiling": r.Ceiling} {
			if watts != nil && (*watts <= 0 || *watts > wire.MaxWatts) {
				t.Errorf("%s: %d W", name, *watts)
			}
		}
		if r.Effective != nil && (r.Ceiling == nil || *r.Ceiling < *r.Effective) {
			t.Errorf("ceiling %v under the target in force %d W", r.Ceiling, *r.Effective)
		}
		if r.State == miner.Sleeping && (r.Effective != nil || r.Ceiling != nil || now.hashes() || r.Watts == nil || *r.Watts > idleWatts) {
			t.Errorf("asleep: %+v", r)
		}
		if r.State == "" || (r.Watts == nil) != (r.WattsSource == "") || r.HashrateTHs != nil && *r.HashrateTHs < 0 {
			t.Errorf("%+v", r)
		}
		if c := olderCapabilities(string(boards.Boards.First().Model), tuner.Tuner.First()); c.NameplateWatts < 0 || c.Sleep || c.Continuous {
			t.Errorf("%+v", c)
		}
		if len(tuner.release()) > 2048 || boards.hottest() != nil && *boards.hottest() <= 0 {
			t.Errorf("%q, %v", tuner.release(), boards.hottest())
		}
	})
}
