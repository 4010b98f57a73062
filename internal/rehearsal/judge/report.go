package judge

import "time"

// Report is what a rehearsal showed: report.json.
type Report struct {
	OK              bool      `json:"ok"`
	Scenario        string    `json:"scenario"`
	StartedAt       time.Time `json:"startedAt"`
	DurationSeconds float64   `json:"durationSeconds"`
	// Failures are sentences: what did not hold, with numbers.
	Failures []string `json:"failures"`

	Samples        int `json:"samples"`
	MissingSamples int `json:"missingSamples"`
	// SampleGapSeconds is the longest time between two samples.
	SampleGapSeconds float64 `json:"sampleGapSeconds"`

	// LimitWatts is the largest limit in force and PeakWatts the largest draw, of all roots together.
	LimitWatts int64 `json:"limitWatts"`
	PeakWatts  int64 `json:"peakWatts"`
	// Budgets by name: the same of each.
	Budgets map[string]Extent `json:"budgets"`
	// WattSecondsOver by budget: the integral of draw over limit.
	WattSecondsOver map[string]float64 `json:"wattSecondsOver"`
	// WattSecondsExcused is the part of it that fell within the time a step allowed.
	WattSecondsExcused map[string]float64 `json:"wattSecondsExcused,omitempty"`
	// StrandedPercent of what the limits left to mining, outside ramps, that mining did not use.
	StrandedPercent float64 `json:"strandedPercent"`
	// StrandedJudgedSeconds is how long it was outside ramps.
	StrandedJudgedSeconds float64 `json:"strandedJudgedSeconds"`
	// MiningBackPercent is mining's draw at the end against its share.
	MiningBackPercent float64 `json:"miningBackPercent"`
	// MiningWatts and MiningShareWatts are its two sides.
	MiningWatts      int64 `json:"miningWatts"`
	MiningShareWatts int64 `json:"miningShareWatts"`

	// HealthyMiningPercent is the hash rate of machines that do as told, at the end, against what they could make.
	HealthyMiningPercent float64 `json:"healthyMiningPercent"`
	// HealthyTeraHashes and HealthyCanTeraHashes are its two sides.
	HealthyTeraHashes    float64 `json:"healthyTeraHashes"`
	HealthyCanTeraHashes float64 `json:"healthyCanTeraHashes"`
	// Misbehaving machines at the end.
	Misbehaving []Misbehaving `json:"misbehaving,omitempty"`

	Handovers    []Handover    `json:"handovers"`
	Curtailments []Curtailment `json:"curtailments"`
	Unannounced  []Unannounced `json:"unannounced,omitempty"`
}

// Extent of a budget's watts over a run.
type Extent struct {
	LimitWatts int64 `json:"limitWatts"`
	PeakWatts  int64 `json:"peakWatts"`
}

// Handover is one wave of pods of a workload getting its watts from miners.
type Handover struct {
	Workload string `json:"workload"`
	Pods     int    `json:"pods"`
	Watts    int64  `json:"watts"`
	// AtSeconds from time 0 of the timeline.
	AtSeconds float64 `json:"atSeconds"`
	// GatedSeconds from the first pod's creation until the last gate was off.
	GatedSeconds float64 `json:"gatedSeconds"`
	// DeviceSeconds of it machines took, ControlSeconds the operator and its agents.
	DeviceSeconds  float64 `json:"deviceSeconds"`
	ControlSeconds float64 `json:"controlSeconds"`
	// Waiting pods were never let in.
	Waiting int `json:"waiting,omitempty"`
}

// Misbehaving is a machine that does not do as told, and when people could first know.
type Misbehaving struct {
	Address string `json:"address"`
	Group   string `json:"group"`
	Persona string `json:"persona"`
	// InConditionAtSeconds and InEventAtSeconds from time 0 of the timeline; left out where it never was.
	InConditionAtSeconds *float64 `json:"inConditionAtSeconds,omitempty"`
	InEventAtSeconds     *float64 `json:"inEventAtSeconds,omitempty"`
}

// Curtailment is how one event was met.
type Curtailment struct {
	Name       string `json:"name"`
	Budget     string `json:"budget"`
	LimitWatts int64  `json:"limitWatts"`
	// NoticeSeconds between its being written and its start.
	NoticeSeconds float64 `json:"noticeSeconds"`
	// MetAfterSeconds from its start until the draw was under the limit; 0 is "before it began".
	MetAfterSeconds float64 `json:"metAfterSeconds"`
	Met             bool    `json:"met"`
	WattSecondsOver float64 `json:"wattSecondsOver"`
}

// Unannounced is something no controller could foresee, and how long it took to be under the limits again.
type Unannounced struct {
	What            string  `json:"what"`
	AtSeconds       float64 `json:"atSeconds"`
	MetAfterSeconds float64 `json:"metAfterSeconds"`
	WattSecondsOver float64 `json:"wattSecondsOver"`
}
