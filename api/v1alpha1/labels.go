package v1alpha1

// Names that Counterweight puts on, or reads from, objects of other kinds.
const (
	// AdmissionLabel on a Namespace, with the value AdmissionGated, enrols it: pods there that ask for
	// accelerators wait at the gate until their watts are free.
	AdmissionLabel = "power.counterweight.dev/admission"
	// AdmissionGated is the value of AdmissionLabel that enrols a namespace.
	AdmissionGated = "Gated"

	// WorkloadLabel on a pod names its GPUWorkload in the pod's namespace. It wins over selectors and
	// owners.
	WorkloadLabel = "power.counterweight.dev/workload"

	// Gate is the scheduling gate at which accelerator pods wait for watts.
	Gate = "power.counterweight.dev/watts"

	// AdmittedAnnotation on a pod is the watts it was admitted with, whole watts in decimal digits. Only
	// the operator writes it, in the patch that opens the gate. It is the record of the reservation that
	// outlives the GPUWorkload (L6).
	AdmittedAnnotation = "power.counterweight.dev/admitted"

	// PoolLabel on an agent pod names its MinerPool in the pod's namespace.
	PoolLabel = "power.counterweight.dev/pool"

	// LedgerFinalizer keeps an object while the ledger still counts watts for it (L9). It is on
	// PowerBudgets, MinerPools, GPUWorkloads and agent pods.
	LedgerFinalizer = "power.counterweight.dev/ledger"
)
