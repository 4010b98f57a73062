// Package power is the ledger and the one decision over a site's watts: Decide(Site) Plan. It is pure:
// everything it knows is in Site, everything it wants done is in Plan, each with its reason. It keeps the
// ledger's rules L1 to L9 of the design; it never talks to a machine, a pod or a clock, and it does not
// choose which devices of an agent hash (internal/fit does).
package power

import "time"

// Watts is electrical power, whole watts.
type Watts int64

// Site is everything a decision may know, at one instant.
type Site struct {
	Now       time.Time
	Budgets   []Budget
	Pools     []Pool
	Agents    []Agent
	Workloads []Workload
	// Strays are accelerator pods that draw without a reservation (L8).
	Strays []Pod
	Nodes  []Node
}

// Budget is one electrical node: site, feeder, PDU, rack row.
type Budget struct {
	Name   string
	Parent string // empty on a root
	// Limit is the spec's, before the margin and before any Cut.
	Limit         Watts
	MarginPercent int
	// Base is load nobody here controls, of this budget alone; children add theirs.
	Base     Watts
	Headroom Watts
	// LeaseTTL is how long an agent may draw without hearing from the operator.
	LeaseTTL time.Duration
	// Evict allows interruptible pods to be evicted when firm load alone is over the limit.
	Evict bool
	Cuts  []Cut
	// Feeds says that nodes hang on this budget; Pin is the node selector that keeps a pod on them.
	Feeds bool
	Pin   map[string]string
	// Halted says why nothing may be raised or admitted here, though sheds go on; empty is "go".
	Halted string
}

// Cut is a curtailment: a lower limit from Start until End.
type Cut struct {
	Name       string
	Start, End time.Time
	// Limit is the limit while it lasts; where Reduce is set, that much less than otherwise.
	Limit  Watts
	Reduce Watts
}

// Pool is a group of agents fed by one budget.
type Pool struct {
	Key    string
	Budget string
	// Rated is the most the pool can draw; what of it no agent's devices account for is unfound (L4).
	Rated Watts
	// Floor is hashing to keep, unless a limit forces less.
	Floor Watts
	// Priority is compared with a workload's; AI outranks mining unless this is higher.
	Priority int
	// Observe forbids leases; its agents count as rated.
	Observe bool
	// Leaving says that the pool is being deleted: shed it all.
	Leaving bool
	// GraceUntil: until then unfound watts bar raises and admissions but shed nobody (L4).
	GraceUntil time.Time
}

// Point of a curve: at Watts in all, an agent's devices make THs.
type Point struct {
	Watts Watts
	THs   float64
}

// Agent is one mining agent as the ledger sees it.
type Agent struct {
	Key    string
	Pool   string
	Budget string
	// Heard says that its current run reports under this leader; else only Hold counts, and no lease can
	// be given.
	Heard bool
	// Hold is what counts against the limit (L2).
	Hold Watts
	// Keeps is what a run without a lease of this leader does already: the lease in force that a former
	// leader gave it, or its measured draw.
	Keeps Watts
	// Young says that its run has yet to learn what its devices do: nothing is taken from it for what others
	// would make of it (liveness a).
	Young bool
	// Bound is the most its devices can draw with no further command.
	Bound Watts
	Floor Watts
	// Rated is the most that the devices found so far under this leader can draw.
	Rated Watts
	// Lease is the newest sent; Leased says whether there is one.
	Lease  Watts
	Leased bool
	// RaisedAt is when the lease was last raised.
	RaisedAt time.Time
	// RaisedBy is how much that was.
	RaisedBy Watts
	// Settle is the worst time from an order to shed until its watts are verified gone.
	Settle time.Duration
	// Curve starts at Floor, rises and is concave.
	Curve []Point
}

// Phase of a pod in the ledger.
type Phase int

// The phases of a pod, in order.
const (
	Gated     Phase = iota // waits; no watts
	Reserved               // named in a written reservation, still gated
	Admitted               // its gate is off
	Releasing              // ended; its watts are kept until Until
)

// Pod is one accelerator pod.
type Pod struct {
	UID   string
	Name  string
	Phase Phase
	// Watts is what it counts or will count.
	Watts Watts
	// Budget it is pinned to, from Reserved on; empty where unknown.
	Budget string
	// Node it is bound to; empty before that.
	Node    string
	Created time.Time
	// Ask is the accelerators it asks for, by resource.
	Ask map[string]int64
	// Selector is its own node selector.
	Selector map[string]string
	// Refused is the nodes it can't run on for another reason: its required affinity, or taints that it
	// does not tolerate.
	Refused NodeSet
	// Grace is how long it may take to end once it is evicted. One that is Gone from the API can't be.
	Grace time.Duration
	Gone  bool
	// Until is when a Releasing pod's watts are let go.
	Until time.Time
}

// Workload is a set of pods with one claim.
type Workload struct {
	Key string
	// Budget it asks for; empty is any.
	Budget   string
	Priority int
	Created  time.Time
	// MinPods is the gang: that many at once, or none; 0 and 1 are no gang.
	MinPods int
	// Standby watts are kept free for its next pods.
	Standby       Watts
	Interruptible bool
	// Halted says why none of its pods may be admitted; empty is "go".
	Halted string
	Pods   []Pod
}

// Node is one accelerator node with what is free on it.
type Node struct {
	Name string
	// Budget is the deepest that feeds it; empty charges the roots.
	Budget string
	// Open says that new pods may be scheduled there.
	Open   bool
	Labels map[string]string
	Free   map[string]int64
}

// NodeSet is a set of nodes by their place in Site.Nodes; nil is none of them.
type NodeSet []uint64

const setWord = 64

// With is the set and node i; the set may be changed by it.
func (s NodeSet) With(i int) NodeSet {
	for len(s) <= i/setWord {
		s = append(s, 0)
	}
	s[i/setWord] |= 1 << (i % setWord)
	return s
}

// Has tells whether node i is in the set.
func (s NodeSet) Has(i int) bool {
	return i/setWord < len(s) && s[i/setWord]&(1<<(i%setWord)) != 0
}
