// Package scenario is the file format of a rehearsal: what the site is made of, what happens to it and
// when, and what must hold. It reads and checks files, and expands times that depend on the moment a
// step fires. It starts nothing and judges nothing.
package scenario

import (
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// Scenario is one file. docs/rehearsal.md describes every field for the people who write them.
type Scenario struct {
	// Name of the rehearsal; the file's name without its ending if left out.
	Name string `json:"name,omitempty"`
	// Description is for readers.
	Description string `json:"description,omitempty"`
	// Seed of everything random in the simulated machines.
	Seed int64 `json:"seed,omitempty"`
	// Fleet is the simulated mining machines.
	Fleet Fleet `json:"fleet,omitzero"`
	// GPUNodes are played accelerator nodes.
	GPUNodes []GPUNodes `json:"gpuNodes,omitempty"`
	// MiningNodes are the nodes that agents run on.
	MiningNodes MiningNodes `json:"miningNodes,omitzero"`
	// BaseWatts is the true base load drawn at each budget itself, not counting the budgets below it.
	BaseWatts map[string]Watts `json:"baseWatts,omitempty"`
	// Operator says how the operator runs.
	Operator Operator `json:"operator,omitzero"`
	// Manifests are applied before the operator starts.
	Manifests Manifests `json:"manifests,omitzero"`
	// Startup is what must be so before time 0 of the timeline.
	Startup Startup `json:"startup,omitzero"`
	// Timeline is what happens, in this order.
	Timeline []Step `json:"timeline,omitempty"`
	// Duration is how long the rehearsal goes on after time 0, at least.
	Duration Duration `json:"duration,omitzero"`
	// Judge is what must hold.
	Judge Judge `json:"judge,omitzero"`
}

// Fleet of simulated mining machines.
type Fleet struct {
	Groups []FleetGroup `json:"groups,omitempty"`
}

// FleetGroup is a run of machines of one kind at consecutive addresses, as asic-sim reads it.
type FleetGroup struct {
	Name     string `json:"name"`
	Count    int    `json:"count"`
	Model    string `json:"model"`
	Firmware string `json:"firmware"`
	// FirmwareVersion is which generation of it, where asic-sim knows several.
	FirmwareVersion string `json:"firmwareVersion,omitempty"`
	FirstAddress    string `json:"firstAddress"`
	Budget          string `json:"budget"`
	// Initial is Hashing or Sleeping; if left out, Hashing where the whole group fits under the limits.
	Initial  string         `json:"initial,omitempty"`
	Personas map[string]int `json:"personas,omitempty"`
	Ports    map[string]int `json:"ports,omitempty"`
	Username string         `json:"username,omitempty"`
	Password string         `json:"password,omitempty"`
	// PowerSource of reported watts: Estimate (if left out) or PSU.
	PowerSource string `json:"powerSource,omitempty"`
	// WhatsMiner sets what only those have, as asic-sim reads it: the switch that lets orders in, first of all.
	WhatsMiner *minersim.WhatsMiner `json:"whatsMiner,omitempty"`
	// Physics overrides what asic-sim assumes, by the names it uses.
	Physics map[string]float64 `json:"physics,omitempty"`
}

// GPUNodes is a group of alike accelerator nodes, named NAME-0, NAME-1 and so on.
type GPUNodes struct {
	Name   string            `json:"name"`
	Count  int               `json:"count"`
	GPUs   int               `json:"gpus"`
	Budget string            `json:"budget"`
	Labels map[string]string `json:"labels,omitempty"`
	// WattsPerGPU is the true draw per accelerator a pod asked for, while the pod runs.
	WattsPerGPU Watts `json:"wattsPerGPU"`
	// Resource that counts accelerators; nvidia.com/gpu if left out.
	Resource string `json:"resource,omitempty"`
}

// MiningNodes are the nodes that agents are scheduled to, named mining-0, mining-1 and so on.
type MiningNodes struct {
	// Count of nodes; 2 if left out.
	Count int `json:"count,omitempty"`
	// Labels on top of power.counterweight.dev/mining: "true".
	Labels map[string]string `json:"labels,omitempty"`
}

// Operator says how the operator runs.
type Operator struct {
	// Replicas that compete for the leadership; 1 if left out.
	Replicas int `json:"replicas,omitempty"`
	// Args are added to the command line.
	Args []string `json:"args,omitempty"`
	// Env is added to the environment.
	Env map[string]string `json:"env,omitempty"`
	// Restart says whether an operator that ended is started again: Always (if left out) or Never.
	Restart string `json:"restart,omitempty"`
}

// Startup is what must be so before time 0.
type Startup struct {
	// MiningSharePercent that mining must have reached; 90 if left out, 0 waits for none.
	MiningSharePercent *float64 `json:"miningSharePercent,omitempty"`
	// Timeout for all of it; 3 minutes if left out.
	Timeout Duration `json:"timeout,omitzero"`
	// Await are further conditions.
	Await []Await `json:"await,omitempty"`
}

// Step is one thing that happens. Exactly one action is set.
type Step struct {
	// At is when, from time 0. A step never fires before the one above it is done.
	At *Duration `json:"at,omitempty"`
	// After is when, from the moment the step above was done; instead of At.
	After *Duration `json:"after,omitempty"`
	// Label names the step in the picture and the status lines.
	Label string `json:"label,omitempty"`
	// Within is how long after this step the draw may be over a limit without being judged for it:
	// for what no controller can foresee, such as a limit that falls with no warning.
	Within *Duration `json:"within,omitempty"`

	Apply Manifests `json:"apply,omitzero"`
	// Refused goes with Apply: the step holds only if the API refuses the manifests, with these words.
	Refused string   `json:"refused,omitempty"`
	Delete  *Object  `json:"delete,omitempty"`
	Scale   *Scale   `json:"scale,omitempty"`
	Persona *Persona `json:"persona,omitempty"`
	Reboot  *Reboot  `json:"reboot,omitempty"`
	Kill    string   `json:"kill,omitempty"`
	Pause   string   `json:"pause,omitempty"`
	Resume  string   `json:"resume,omitempty"`
	// Stop kills as Kill does, and what was stopped stays down until Start.
	Stop      string     `json:"stop,omitempty"`
	Start     string     `json:"start,omitempty"`
	DropLimit *DropLimit `json:"dropLimit,omitempty"`
	Note      string     `json:"note,omitempty"`
	Await     *Await     `json:"await,omitempty"`
}

// Object names one object of the API.
type Object struct {
	// APIVersion may be left out for the kinds of this project, apps, batch and the core.
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// Scale sets the replicas of an object.
type Scale struct {
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind is Deployment if left out.
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Replicas  int64  `json:"replicas"`
}

// Persona changes how machines behave. Count counts within the group; all of it if left out.
type Persona struct {
	Group   string `json:"group,omitempty"`
	Address string `json:"address,omitempty"`
	Count   int    `json:"count,omitempty"`
	Persona string `json:"persona"`
}

// Reboot restarts machines.
type Reboot struct {
	Group   string `json:"group,omitempty"`
	Address string `json:"address,omitempty"`
	Count   int    `json:"count,omitempty"`
}

// DropLimit writes a PowerBudget's limit, with no warning.
type DropLimit struct {
	Budget     string `json:"budget"`
	LimitWatts Watts  `json:"limitWatts"`
}

// Await waits until something is so. Exactly one condition is set.
type Await struct {
	// Timeout after which the rehearsal has failed; 60 s if left out.
	Timeout Duration `json:"timeout,omitzero"`

	// Workload is NAMESPACE/NAME of a Job, Deployment, StatefulSet, bare pod or GPUWorkload.
	Workload string `json:"workload,omitempty"`
	// Is goes with Workload: Running (if left out), Gated, Admitted or Ended.
	Is string `json:"is,omitempty"`

	Pods        *Pods    `json:"pods,omitempty"`
	MiningShare *float64 `json:"miningSharePercent,omitempty"`
	// HealthyMining is the percent of their possible hash rate that machines which do as told have to make.
	HealthyMining *float64   `json:"healthyMiningPercent,omitempty"`
	Draw          *Draw      `json:"draw,omitempty"`
	Condition     *Condition `json:"condition,omitempty"`
	Gone          *Object    `json:"gone,omitempty"`
	// Leader waits until an operator leads.
	Leader string `json:"leader,omitempty"`
}

// Pods counts pods.
type Pods struct {
	Namespace string `json:"namespace,omitempty"`
	// Selector as kubectl -l takes it.
	Selector string `json:"selector,omitempty"`
	// Phase is Running if left out; Gated counts pods behind the gate.
	Phase   string `json:"phase,omitempty"`
	Count   *int   `json:"count,omitempty"`
	AtLeast *int   `json:"atLeast,omitempty"`
	AtMost  *int   `json:"atMost,omitempty"`
}

// Draw is about the true draw of a budget.
type Draw struct {
	Budget  string `json:"budget"`
	AtLeast *Watts `json:"atLeast,omitempty"`
	AtMost  *Watts `json:"atMost,omitempty"`
}

// Condition of an object.
type Condition struct {
	Object `json:",inline"`
	Type   string `json:"type"`
	// Status is True if left out.
	Status string `json:"status,omitempty"`
	// Reason, where given, must be this one.
	Reason string `json:"reason,omitempty"`
}

// Judge is what must hold.
type Judge struct {
	// WattSecondsOverMax is the most watt-seconds over any one budget's limit; 0 if left out.
	WattSecondsOverMax float64 `json:"wattSecondsOverMax,omitempty"`
	// WattSecondsOverMaxBy sets it for single budgets.
	WattSecondsOverMaxBy map[string]float64 `json:"wattSecondsOverMaxBy,omitempty"`
	// AllWorkloadsStarted: no pod may be left at the gate at the end; true if left out.
	AllWorkloadsStarted *bool `json:"allWorkloadsStarted,omitempty"`
	// MiningBackPercentMin of its share that mining must have at the end; not judged if left out.
	MiningBackPercentMin *float64 `json:"miningBackPercentMin,omitempty"`
	// HealthyMiningPercentMin of the hash rate that healthy machines could make at the end; not judged if left out.
	HealthyMiningPercentMin *float64 `json:"healthyMiningPercentMin,omitempty"`
	// NamedPersonas: each machine that has one of these at the end must have been named, in a condition of a
	// MinerPool and in an event.
	NamedPersonas []string `json:"namedPersonas,omitempty"`
	// CurtailmentsMetWithinSeconds of their start; not judged if left out.
	CurtailmentsMetWithinSeconds *float64 `json:"curtailmentsMetWithinSeconds,omitempty"`
	// StrandedPercentMax of what the limits leave to mining; not judged if left out.
	StrandedPercentMax *float64 `json:"strandedPercentMax,omitempty"`
	// HandoverControlSecondsMax and HandoverGatedSecondsMax bound every hand-over; not judged if left out.
	HandoverControlSecondsMax *float64 `json:"handoverControlSecondsMax,omitempty"`
	HandoverGatedSecondsMax   *float64 `json:"handoverGatedSecondsMax,omitempty"`
	// MissingSamplesPercentMax of the meter's samples; 1 if left out.
	MissingSamplesPercentMax *float64 `json:"missingSamplesPercentMax,omitempty"`
	// SampleGapSecondsMax between two samples; 2 if left out.
	SampleGapSecondsMax *float64 `json:"sampleGapSecondsMax,omitempty"`
	// RampSeconds around every change that do not count as stranded; 20 if left out.
	RampSeconds *float64 `json:"rampSeconds,omitempty"`
}

// Figures that apply where a file leaves them out.
const (
	defaultMiningNodes    = 2
	defaultStartupShare   = 90
	defaultStartupTimeout = 3 * time.Minute
	defaultAwaitTimeout   = time.Minute
	defaultRampSeconds    = 20
	defaultMissingPercent = 1
	defaultGapSeconds     = 2
)
