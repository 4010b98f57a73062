package v1alpha1

// Ready says that the object is in force: its spec is taken in and acted on. It is False while something
// outside of the spec is still missing, which GitOps tools read as "in progress". Waiting for power is
// never a reason (that is PowerReserved), nor is a parent's smaller limit.
const (
	// ConditionReady is on every kind.
	ConditionReady = "Ready"

	// ReasonReady surfaces when a PowerBudget, MinerPool or CurtailmentEvent is in force.
	ReasonReady = "Ready"

	// ReasonGoverned surfaces when a GPUWorkload is in force: its pods are gated and counted, whether or
	// not they have watts yet.
	ReasonGoverned = "Governed"

	// ReasonAgentsNotReady surfaces when some of a MinerPool's mining pods are not up, or have not
	// reported to this operator leader yet.
	ReasonAgentsNotReady = "AgentsNotReady"

	// ReasonAddressesWait surfaces when an edit of a MinerPool's addresses or devicesPerAgent is not in force,
	// since agents have yet to take up as many earlier ones as may be under way at once; and when it leaves fewer
	// mining pods, and some of those that are to go mind machines that the others have yet to take over.
	ReasonAddressesWait = "AddressesWait"

	// ReasonDeleting surfaces when the object is being deleted and the ledger still counts watts for it.
	ReasonDeleting = "Deleting"

	// ReasonStalled surfaces when Stalled says why; on PowerReserved also when that of a PowerBudget does.
	ReasonStalled = "Stalled"
)

// Stalled is True while only a change by a person helps. GitOps tools read it as failure. It is absent
// otherwise.
const (
	// ConditionStalled is on every kind, only while True.
	ConditionStalled = "Stalled"

	// ReasonParentNotFound surfaces when spec.parent names no PowerBudget. It is on Ready at first, since
	// objects arrive in any order, and on Stalled when it stays.
	ReasonParentNotFound = "ParentNotFound"

	// ReasonParentCycle surfaces when a PowerBudget is its own ancestor.
	ReasonParentCycle = "ParentCycle"

	// ReasonBudgetNotFound surfaces when spec.budget names no PowerBudget. It is on Ready at first and on
	// Stalled when it stays; of a GPUWorkload it is on PowerReserved, also where no PowerBudget feeds nodes.
	ReasonBudgetNotFound = "BudgetNotFound"

	// ReasonAddressesOverlap surfaces when an address is in two entries, or in two MinerPools.
	ReasonAddressesOverlap = "AddressesOverlap"

	// ReasonRangeTooLarge surfaces when an entry of spec.devices.addresses, or all together, is more
	// addresses than a pool may have.
	ReasonRangeTooLarge = "RangeTooLarge"

	// ReasonRangeReversed surfaces when FIRST of a FIRST-LAST comes after LAST.
	ReasonRangeReversed = "RangeReversed"

	// ReasonCredentialsMissing surfaces when the Secret that spec.devices.credentialsSecret names is not
	// there.
	ReasonCredentialsMissing = "CredentialsMissing"

	// ReasonCredentialsMalformed surfaces when that Secret lacks a key, holds one of no firmware, or one
	// whose value is empty or not one line of text.
	ReasonCredentialsMalformed = "CredentialsMalformed"

	// ReasonNamespaceNotGranted surfaces when a MinerPool is in a namespace in which the operator was given no
	// rights to Secrets.
	ReasonNamespaceNotGranted = "NamespaceNotGranted"

	// ReasonRatedTooSmall surfaces when the devices found can draw more than spec.ratedWatts.
	ReasonRatedTooSmall = "RatedTooSmall"

	// ReasonOrderedReady surfaces when a gang (spec.minPods) is a StatefulSet with podManagementPolicy
	// OrderedReady, which shows the gate one pod at a time.
	ReasonOrderedReady = "OrderedReady"

	// ReasonSelectorOverlap surfaces when pods are selected by two GPUWorkloads and labelled for neither,
	// or nodes by two PowerBudgets of which neither is above the other.
	ReasonSelectorOverlap = "SelectorOverlap"

	// ReasonSelectorInvalid surfaces when spec.selector is none that Kubernetes understands.
	ReasonSelectorInvalid = "SelectorInvalid"

	// ReasonDuplicate surfaces when two GPUWorkloads have the same spec.owner; the older one counts.
	ReasonDuplicate = "Duplicate"
)

// WithinLimit says whether everything counted on a budget is under its limit.
const (
	// ConditionWithinLimit is on PowerBudget.
	ConditionWithinLimit = "WithinLimit"

	// ReasonWithinLimit surfaces when everything counted is under the limit.
	ReasonWithinLimit = "WithinLimit"

	// ReasonShedding surfaces when the limit fell or a device woke, and mining is shedding down to it.
	ReasonShedding = "Shedding"

	// ReasonOverLimit surfaces when base load and AI pods alone are over the limit, with mining at its
	// floor.
	ReasonOverLimit = "OverLimit"
)

// PowerReserved says whether every pod of a workload has its watts, and if not, why not.
const (
	// ConditionPowerReserved is on GPUWorkload.
	ConditionPowerReserved = "PowerReserved"

	// ReasonReserved surfaces when every pod has its watts.
	ReasonReserved = "Reserved"

	// ReasonNoPods surfaces when there is no pod to have watts.
	ReasonNoPods = "NoPods"

	// ReasonWaitingForMiners surfaces when miners were told to shed for these pods and their watts are not
	// measured free yet. It passes by itself within the devices' settle time.
	ReasonWaitingForMiners = "WaitingForMiners"

	// ReasonWaitingForPods surfaces when fewer pods than spec.minPods exist and none runs. What some of them hold stays held.
	ReasonWaitingForPods = "WaitingForPods"

	// ReasonGangIncomplete surfaces when a gang (spec.minPods) that runs lost pods, and none at the gate takes their
	// place: the rest goes on, and what it holds stays held.
	ReasonGangIncomplete = "GangIncomplete"

	// ReasonNoRoom surfaces when the pods need more than the limit leaves beside base load, other AI pods
	// and mining that can't be shed, as under a MinerPool's spec.floorWatts.
	ReasonNoRoom = "NoRoom"

	// ReasonOutranked surfaces when workloads that go first wait for the same watts.
	ReasonOutranked = "Outranked"

	// ReasonNoAccelerators surfaces when there are watts, and no free accelerators on the budget's nodes.
	ReasonNoAccelerators = "NoAccelerators"

	// ReasonSelectorClash surfaces when a pod's own nodeSelector or required affinity, or taints that it
	// does not tolerate, rule the budget's nodes out.
	ReasonSelectorClash = "SelectorClash"

	// ReasonMiningFirst surfaces when the watts are with a MinerPool of a higher priority.
	ReasonMiningFirst = "MiningFirst"

	// ReasonCurtailmentAhead surfaces when the pods fit now, but not under the limit of a
	// CurtailmentEvent to come.
	ReasonCurtailmentAhead = "CurtailmentAhead"

	// ReasonLedgerUnsettled surfaces when watts are not accounted for yet: after a change of the operator
	// leader, or while devices have not been heard.
	ReasonLedgerUnsettled = "LedgerUnsettled"

	// ReasonUngated surfaces when accelerator pods run that never were at the gate; they count as firm
	// load.
	ReasonUngated = "Ungated"
)

// Reachable says whether everything that a pool's ratedWatts stand for has been heard.
const (
	// ConditionReachable is on MinerPool.
	ConditionReachable = "Reachable"

	// ReasonReachable surfaces when every mining pod and every device found answers.
	ReasonReachable = "Reachable"

	// ReasonAgentsQuarantined surfaces when a mining pod reports what can't be; its devices count at their
	// rated watts, and it gets no lease, until it has talked sense for a minute or is restarted.
	ReasonAgentsQuarantined = "AgentsQuarantined"
	// ReasonAgentsRefused surfaces when what answers at a mining pod's address does not prove to be it.
	ReasonAgentsRefused = "AgentsRefused"
	// ReasonAgentsUnheard surfaces when a mining pod does not report; its devices count at their last
	// hold.
	ReasonAgentsUnheard = "AgentsUnheard"

	// ReasonDevicesUnreachable surfaces when devices don't answer; they count at their rated watts.
	ReasonDevicesUnreachable = "DevicesUnreachable"

	// ReasonDevicesStuck surfaces when devices answer and don't do what they were told.
	ReasonDevicesStuck = "DevicesStuck"

	// ReasonDevicesUnauthorized surfaces when machines refuse the credentials; they count at their rated
	// watts.
	ReasonDevicesUnauthorized = "DevicesUnauthorized"

	// ReasonDevicesBusy surfaces when machines have no session free for their agent, because somebody else
	// holds it.
	ReasonDevicesBusy = "DevicesBusy"

	// ReasonDevicesUnreadable surfaces when devices answer and tell no watts that can be true; they count
	// at their rated watts, or at their targets where they name one.
	ReasonDevicesUnreadable = "DevicesUnreadable"

	// ReasonDevicesRebooted surfaces when devices that had done as they were told were seen above that, and
	// until they do it again.
	ReasonDevicesRebooted = "DevicesRebooted"

	// ReasonUnfound surfaces when the devices found account for less than spec.ratedWatts; the rest counts
	// as drawn until it is found or spec.ratedWatts is lowered.
	ReasonUnfound = "Unfound"
)

// Curtailed says whether a pool is held below what its devices could draw.
const (
	// ConditionCurtailed is on MinerPool.
	ConditionCurtailed = "Curtailed"

	// ReasonNotCurtailed surfaces when the pool may draw all it can.
	ReasonNotCurtailed = "NotCurtailed"

	// ReasonWorkloads surfaces when AI pods have the watts, or wait for them.
	ReasonWorkloads = "Workloads"

	// ReasonLimit surfaces when the budget's ordinary limit leaves less.
	ReasonLimit = "Limit"

	// ReasonCurtailmentEvent surfaces when a CurtailmentEvent leaves less.
	ReasonCurtailmentEvent = "CurtailmentEvent"

	// ReasonObserved surfaces when the pool is control: Observe, so that nothing is commanded.
	ReasonObserved = "Observed"
)

// Scheduled, Active and Ended follow the clock of a curtailment.
const (
	// ConditionScheduled is on CurtailmentEvent: True once the event is planned for.
	ConditionScheduled = "Scheduled"

	// ReasonPlanned surfaces when the event is known and its time has not come.
	ReasonPlanned = "Planned"

	// ReasonStarted surfaces when the event's start has passed.
	ReasonStarted = "Started"

	// ConditionActive is on CurtailmentEvent: True from spec.start to spec.end.
	ConditionActive = "Active"

	// ReasonNotStarted surfaces when spec.start has not come.
	ReasonNotStarted = "NotStarted"

	// ReasonInForce surfaces when the event lowers its budget's limit now.
	ReasonInForce = "InForce"

	// ConditionEnded is on CurtailmentEvent: True after spec.end.
	ConditionEnded = "Ended"

	// ReasonNotEnded surfaces when spec.end has not come.
	ReasonNotEnded = "NotEnded"

	// ReasonTimePassed surfaces when spec.end has passed.
	ReasonTimePassed = "TimePassed"
)

// Met says whether the draw was under the event's limit, in time and throughout.
const (
	// ConditionMet is on CurtailmentEvent.
	ConditionMet = "Met"

	// ReasonMet surfaces when the draw was under the event's limit by spec.start and stayed there.
	ReasonMet = "Met"

	// ReasonNotYetDue surfaces when spec.start has not come.
	ReasonNotYetDue = "NotYetDue"

	// ReasonMissed surfaces when the draw was over the event's limit at some time during the event.
	ReasonMissed = "Missed"

	// ReasonUnobserved surfaces when no operator watched the event from its start to its end.
	ReasonUnobserved = "Unobserved"
)
