package power

import "time"

// Plan is what is to be done, and why.
type Plan struct {
	Budgets   []BudgetPlan
	Leases    []LeasePlan
	Workloads []WorkloadPlan
	Evictions []Eviction
	// THs is what the leases would make; BoundTHs the most any dispatch under the same caps could that gives
	// each pool as much of its floorWatts: the certificate of how far from optimal this one can be.
	THs, BoundTHs float64
	// Next is when time alone may change this plan; zero is never.
	Next time.Time
}

// LimitReason says where a limit comes from.
type LimitReason string

// Where a limit comes from.
const (
	LimitSpec        LimitReason = "Spec"
	LimitCurtailment LimitReason = "Curtailment"
	LimitParent      LimitReason = "ParentLimit"
)

// BudgetPlan is one budget's ledger after the plan.
type BudgetPlan struct {
	Name string
	// Limit in force now, less the margin; Reason and By say why.
	Limit  Watts
	Reason LimitReason
	By     string
	// Planned is the least limit from now until the slowest shed would be done: what the plan keeps to.
	Planned Watts
	Base    Watts
	Unfound Watts
	// Held is the sum of holds, Leased of leases, Reserved of reservations, of the whole subtree.
	Held, Leased, Reserved Watts
	// Demand is what feasible waiting pods need.
	Demand Watts
	// Free is what is free in the ledger now; Available what further AI pods could be given once mining
	// has shed all it can. Neither is negative, and both see the limits above.
	Free, Available Watts
	// Over is how much the ledger is over Planned (sheds are under way); Short how much of Limit firm
	// load alone is over: no shed can mend that.
	Over, Short Watts
	// Mining is the most mining may have here; of use to see what is stranded.
	Mining Watts
}

// LeasePlan is the lease one agent should have.
type LeasePlan struct {
	Agent string
	Watts Watts
	TTL   time.Duration
	// ShedWithin is how soon; 0 is at its own pace.
	ShedWithin time.Duration
	// Raise says that Watts is above the lease before.
	Raise bool
	// Target is where the lease is heading.
	Target Watts
	// Shared says that the ledger has no room for machines which the agent let go beside its lease: they draw
	// under it still (L1). They may be among what is unfound and sheds nobody yet (L4).
	Shared bool
}

// Reason of a workload's state, as a condition's reason.
type Reason string

// The reasons.
const (
	// AllReserved: every pod has its watts.
	AllReserved Reason = "Reserved"
	// NoPods: no pod waits or draws.
	NoPods Reason = "NoPods"
	// WaitingForMiners: the watts are on their way from miners.
	WaitingForMiners Reason = "WaitingForMiners"
	// Unsettled: the ledger counts watts that nobody has measured yet.
	Unsettled Reason = "LedgerUnsettled"
	// NoRoom: firm load leaves no room, however much mining sheds.
	NoRoom Reason = "NoRoom"
	// CurtailmentAhead: there is room now, but not in a coming curtailment.
	CurtailmentAhead Reason = "CurtailmentAhead"
	// NoAccelerators: no node of any eligible budget has the accelerators free.
	NoAccelerators Reason = "NoAccelerators"
	// SelectorClash: the pod's own node selector excludes every budget's nodes.
	SelectorClash Reason = "SelectorClash"
	// WaitingForPods: fewer pods exist than minPods.
	WaitingForPods Reason = "WaitingForPods"
	// GangIncomplete: a gang that has its watts lost pods, and holds on to what it has.
	GangIncomplete Reason = "GangIncomplete"
	// Outranked: an earlier or higher workload waits for these watts.
	Outranked Reason = "Outranked"
	// MiningFirst: the pools here are set above this workload.
	MiningFirst Reason = "MiningFirst"
	// NoBudget: the budget it names is unknown, or none feeds nodes.
	NoBudget Reason = "BudgetNotFound"
	// Stalled: the workload or its budget is, and only a change by a person helps.
	Stalled Reason = "Stalled"
)

// WorkloadPlan is what one workload has, gets and waits for.
type WorkloadPlan struct {
	Key string
	// Budget is where its pods are or will be; empty before a choice.
	Budget              string
	Requested, Reserved Watts
	// Pods are the reservations to be written, old and new; Open those whose gate opens now.
	Pods []PodPlan
	// Waiting is how many pods get nothing now.
	Waiting int
	Reason  Reason
	Message string
}

// PodPlan is one reservation.
type PodPlan struct {
	UID    string
	Name   string
	Watts  Watts
	Budget string
	// Open: take the gate off once the reservation is written.
	Open bool
	// New: not reserved before this plan.
	New bool
}

// Eviction asks for one pod to be evicted.
type Eviction struct {
	Workload string
	Pod      string
	UID      string
	Budget   string
	Short    Watts
}
