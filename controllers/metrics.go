package controllers

import (
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/counterweight-dev/counterweight/internal/metric"
)

// table is every metric of the operator. Live watts are metrics and never status. Names, dashboard, alerts and
// docs/metrics.md go by it.
var table metric.Table

// MetricDefinitions is every metric of the operator's own.
func MetricDefinitions() []metric.Definition { return table.Definitions() }

// Of a budget: itself and everything below it.
var (
	budgetLimit = table.Gauge("counterweight_budget_limit_watts",
		"Limit in force of a budget: the least of its own, of active curtailments and of the budgets above, less its margin.", "budget")
	budgetPlanned = table.Gauge("counterweight_budget_planned_limit_watts",
		"The least limit of a budget from now until the slowest shed would be done, which the ledger keeps to.", "budget")
	budgetDraw = table.Gauge("counterweight_budget_draw_watts",
		"Watts drawn below a budget as far as is known: base load, AI pods at their reservations, miners as measured, and agents not heard at what is held for them.", "budget")
	budgetBase   = table.Gauge("counterweight_budget_base_watts", "Base load of a budget: what nobody here controls.", "budget")
	budgetMining = table.Gauge("counterweight_budget_mining_watts",
		"Watts that miners below a budget draw: as measured, and for agents not heard what is held for them.", "budget")
	budgetWorkload = table.Gauge("counterweight_budget_workload_watts",
		"Reservations of the AI pods below a budget that were let in and have not ended.", "budget")
	budgetReserved = table.Gauge("counterweight_budget_reserved_watts",
		"All reservations below a budget: AI pods let in or about to be, standby, release delays, and accelerator pods that never were at the gate.", "budget")
	budgetHeadroom = table.Gauge("counterweight_budget_headroom_watts", "Watts that a budget keeps free for the next AI pods.", "budget")
	budgetHeld     = table.Gauge("counterweight_budget_held_watts",
		"Watts counted for mining agents below a budget: never less than they can draw, nor than any lease they may act on.", "budget")
	budgetLeased  = table.Gauge("counterweight_budget_leased_watts", "Leases of the mining agents below a budget.", "budget")
	budgetUnfound = table.Gauge("counterweight_budget_unfound_watts",
		"Rated watts of pools below a budget that no device accounts for; they count as drawn.", "budget")
	budgetVolatile = table.Gauge("counterweight_budget_volatile_watts",
		"Watts below a budget that are kept down only by sleeps which a reboot of the machine would undo; spec.marginPercent should cover them.", "budget")
	budgetDemand    = table.Gauge("counterweight_budget_demand_watts", "Watts that waiting AI pods which fit below a budget need.", "budget")
	budgetFree      = table.Gauge("counterweight_budget_free_watts", "Watts of a budget that nothing in the ledger counts now.", "budget")
	budgetAvailable = table.Gauge("counterweight_budget_available_watts",
		"Watts that further AI pods could be given below a budget once mining has shed all it can.", "budget")
	budgetOver = table.Gauge("counterweight_budget_excess_watts",
		"By how much the ledger of a budget is over its limit, which mining is shedding.", "budget")
	budgetShort = table.Gauge("counterweight_budget_shortfall_watts",
		"By how much base load and AI pods alone are over the limit of a budget, which no shed can mend.", "budget")
	budgetOverSeconds = table.Counter("counterweight_budget_over_limit_seconds_total",
		"Time during which the draw of a budget was above its limit in force, since this process leads.", "budget")
)

// Of a mining agent, as the operator sees it.
var (
	agentHeard = table.Gauge("counterweight_agent_heard", "1 where a mining agent reports to this leader, 0 where it does not.", "pool", "agent")
	agentLease = table.Gauge("counterweight_agent_lease_watts", "Newest lease sent to a mining agent.", "pool", "agent")
	agentHeld  = table.Gauge("counterweight_agent_held_watts", "Watts counted for a mining agent.", "pool", "agent")
	agentBound = table.Gauge("counterweight_agent_bound_watts", "The most that the devices of a mining agent can draw with no further command.", "pool", "agent")
	agentDraw  = table.Gauge("counterweight_agent_draw_watts", "Watts that the devices of a mining agent draw, by its newest report.", "pool", "agent")
	agentFloor = table.Gauge("counterweight_agent_floor_watts", "Watts of a mining agent's devices if every one slept.", "pool", "agent")
	agentRated = table.Gauge("counterweight_agent_rated_watts", "The most that the devices a mining agent found can draw.", "pool", "agent")
)

// Of a pool.
var (
	poolRated   = table.Gauge("counterweight_pool_rated_watts", "The most a pool can draw, as its spec says.", "pool")
	poolDevices = table.Gauge("counterweight_pool_devices",
		"Devices that the agents of a pool found, by state: Hashing (none of the others), Sleeping, Unreachable or Stuck.", "pool", "state")
	poolAgents = table.Gauge("counterweight_pool_agents",
		"Mining agents of a pool, by state: Heard, Unheard, Refused (what answers is not it) or Quarantined (it reports what can't be).", "pool", "state")
)

// Of AI pods.
var (
	waitingPods = table.Gauge("counterweight_waiting_pods", "AI pods that wait at the gate, by namespace and by the reason of their GPUWorkload.",
		"workload_namespace", "reason")
	longestWait = table.Gauge("counterweight_longest_wait_seconds", "Age of the oldest AI pod that waits at the gate, by namespace and reason.",
		"workload_namespace", "reason")
	reservedPods = table.Gauge("counterweight_reserved_pods", "AI pods with a reservation, their gates open or about to be.")
	podsAdmitted = table.CounterVec("counterweight_pods_admitted_total", "Gates that this process opened.")
	podsEvicted  = table.CounterVec("counterweight_pods_evicted_total", "AI pods that this process evicted for power.")
	handoverTime = table.HistogramVec("counterweight_handover_seconds",
		"Time from when an AI pod that could have its watts was seen at the gate until its gate was open, by part: device (from the order to shed until the watts were measured free) and control (all the rest).",
		[]float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300}, "part")
)

// Of the decision and of this process.
var (
	dispatchPlanned = table.Gauge("counterweight_dispatch_planned_hashes_per_second", "Hash rate that the planned leases make, by the agents' curves.")
	dispatchBound   = table.Gauge("counterweight_dispatch_bound_hashes_per_second", "The most hash rate that any dispatch under the same limits could make.")
	dispatchGap     = table.Gauge("counterweight_dispatch_gap_ratio", "How far the dispatch may be from the best there is: 1 - planned / bound.")
	leasesSent      = table.CounterVec("counterweight_leases_sent_total", "Leases sent that changed an agent's watts, by direction: lowered or raised.", "direction")
	leading         = table.Gauge("counterweight_leader", "1 where this process holds the election's Lease and renewed it in time, else 0.")
	epochNumber     = table.Gauge("counterweight_epoch", "Number of the leader that this process is; it only grows.")
	lastPass        = table.Gauge("counterweight_last_pass_timestamp_seconds", "When the newest decision was made.")
	lastRead        = table.Gauge("counterweight_last_read_timestamp_seconds", "When what the newest decision was made from was read.")
	curtailments    = table.Gauge("counterweight_curtailment_events",
		"CurtailmentEvents, by budget, by state (Scheduled, Active or Ended) and by the reason of their condition Met.", "budget", "state", "result")
	certificateExpiry = table.Gauge("counterweight_certificate_expiry_timestamp_seconds",
		"When a certificate ends: authority, operator, or agents with their pool.", "certificate", "pool")
)

func init() {
	for _, part := range []string{partDevice, partControl} {
		handoverTime.WithLabelValues(part)
	}
	for _, direction := range []string{"lowered", "raised"} {
		leasesSent.WithLabelValues(direction)
	}
	podsAdmitted.WithLabelValues()
	podsEvicted.WithLabelValues()
	metrics.Registry.MustRegister(exported, handoverTime, leasesSent, podsAdmitted, podsEvicted)
}
