package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// WorkloadClass says what a workload does with its accelerators.
// +kubebuilder:validation:Enum=Training;Inference
type WorkloadClass string

// The values of GPUWorkload.spec.class.
const (
	// ClassTraining runs to completion.
	ClassTraining WorkloadClass = "Training"
	// ClassInference serves, and scales with its load.
	ClassInference WorkloadClass = "Inference"
)

// Interruptible says when running pods may be evicted for power.
// +kubebuilder:validation:Enum=Never;WhenShort
type Interruptible string

// The values of GPUWorkload.spec.interruptible.
const (
	// InterruptibleNever protects running pods.
	InterruptibleNever Interruptible = "Never"
	// InterruptibleWhenShort allows eviction when firm load alone is over a
	// limit.
	InterruptibleWhenShort Interruptible = "WhenShort"
)

// WorkloadOwner is the controller whose pods a GPUWorkload claims watts for.
type WorkloadOwner struct {
	// apiVersion of the owner, e.g. apps/v1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	APIVersion string `json:"apiVersion,omitempty"`

	// kind of the owner, e.g. Deployment.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the owner, in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// uid of the owner; an owner made anew under the same name is another one.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID types.UID `json:"uid,omitempty"`
}

// GPUWorkloadSpec says which pods claim watts, how many, and what goes first
// when they are scarce.
// +kubebuilder:validation:XValidation:rule="has(self.selector) != has(self.owner)",message="exactly one of spec.selector and spec.owner must be set: write selector, and leave owner to the operator"
// +kubebuilder:validation:XValidation:rule="!has(self.wattsPerPod) || !has(self.wattsPerAccelerator)",message="at most one of spec.wattsPerPod and spec.wattsPerAccelerator may be set: remove one"
type GPUWorkloadSpec struct {
	// class of the work: Training (runs to completion) or Inference (serves, and
	// scales with its load).
	// +required
	Class WorkloadClass `json:"class,omitempty"`

	// budget names the PowerBudget to draw from, e.g. hall-1. If left out, the
	// operator places the pods on a budget with room. An edit counts for pods
	// admitted later.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.budget must be the name of a PowerBudget: lower-case letters, digits, '-' and '.', e.g. hall-1"
	Budget string `json:"budget,omitempty"`

	// selector chooses the pods by their labels, e.g. {matchLabels: {app:
	// llama-train}}. A pod's label power.counterweight.dev/workload wins over
	// it. Either selector or owner is needed.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",message="spec.selector must not be empty, since that would take every pod of the namespace: name a label, e.g. matchLabels: {app: llama-train}"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.size() <= 16) && (!has(self.matchExpressions) || self.matchExpressions.size() <= 16)",message="spec.selector must have at most 16 matchLabels and 16 matchExpressions: put one label on the pods instead"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// owner is the controller whose pods are meant, as the operator writes it in
	// the GPUWorkloads it makes by itself. Either selector or owner is needed.
	// +optional
	Owner *WorkloadOwner `json:"owner,omitempty"` //nolint:kubeapilinter // nil says that selector is meant

	// wattsPerPod is the most one pod of this workload draws: accelerators,
	// CPUs, fans and its share of the node. Whole watts, e.g. 10.2k. The larger
	// of this and the operator's accelerator table counts, unless the budget
	// says declaredWatts: Trusted. If wattsPerAccelerator is left out too, the
	// table counts. Above 100k needs the verb use on
	// priorities.power.counterweight.dev.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="wattsPerPod must be whole watts from 0 to 1T, e.g. 10.2k"
	WattsPerPod *resource.Quantity `json:"wattsPerPod,omitempty"`

	// wattsPerAccelerator is the most one pod draws for each accelerator it asks
	// for, its share of the node included: 1.3k and eight accelerators make
	// 10.4k. Whole watts, e.g. 1.3k. Set instead of wattsPerPod, never beside
	// it. Above 10k needs the verb use on priorities.power.counterweight.dev.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="wattsPerAccelerator must be whole watts from 0 to 1T, e.g. 1.3k"
	WattsPerAccelerator *resource.Quantity `json:"wattsPerAccelerator,omitempty"`

	// priority among GPUWorkloads and MinerPools: the highest is served first,
	// then the oldest. -1000000 to 1000000; 0 if left out. Above 0 needs the
	// verb use on priorities.power.counterweight.dev.
	// +optional
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority *int32 `json:"priority,omitempty"`

	// minPods makes a gang: so many pods start together or none does. 1 to 4096;
	// 1 if left out. Does not work on a StatefulSet with podManagementPolicy:
	// OrderedReady, which shows one pod at a time.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	MinPods int32 `json:"minPods,omitempty"`

	// standbyPods is for how many further pods watts are reserved ahead, so that
	// the next replicas start at once. 0 to 4096; 0 if left out. Yields to pods
	// that wait with the same or a higher priority. Above 0 needs the verb use
	// on priorities.power.counterweight.dev.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4096
	StandbyPods *int32 `json:"standbyPods,omitempty"`

	// interruptible says whether running pods may be evicted for power. Never
	// (if left out), or WhenShort: when AI pods alone are over a limit and the
	// budget says onShortfall: EvictInterruptible.
	// +optional
	Interruptible Interruptible `json:"interruptible,omitempty"`

	// releaseDelaySeconds keeps a pod's watts reserved a while after it ended,
	// since autoscalers flap and the next run often follows. 0 to 86400; 60 if
	// left out. Yields to pods that wait with the same or a higher priority.
	// Above 600 needs the verb use on priorities.power.counterweight.dev.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	ReleaseDelaySeconds *int32 `json:"releaseDelaySeconds,omitempty"`
}

// Reservation is watts held for one named pod.
type Reservation struct {
	// uid of the pod.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID types.UID `json:"uid,omitempty"`

	// name of the pod.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// watts held.
	// +required
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	Watts resource.Quantity `json:"watts"`

	// budget the watts are held on, and on every budget above it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Budget string `json:"budget,omitempty"`

	// endedAt is when the pod was seen ended; the watts are let go
	// releaseDelaySeconds later.
	// +optional
	EndedAt *metav1.Time `json:"endedAt,omitempty"`

	// terminationGracePeriodSeconds of the pod where it is longer than 30. If
	// the pod vanishes, its watts are held for that long once its node is heard.
	// +optional
	// +kubebuilder:validation:Minimum=31
	TerminationGracePeriodSeconds int64 `json:"terminationGracePeriodSeconds,omitempty"`
}

// GPUWorkloadPods counts a workload's pods.
type GPUWorkloadPods struct {
	// gated pods: waiting for watts.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Gated *int32 `json:"gated,omitempty"`

	// admitted pods: given watts and not running yet.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Admitted *int32 `json:"admitted,omitempty"`

	// running pods.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Running *int32 `json:"running,omitempty"`
}

// GPUWorkloadStatus says which pods hold which watts, and why the others
// wait.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",message="status.epoch never goes back: a newer operator leads",reason=FieldValueForbidden
type GPUWorkloadStatus struct {
	// conditions are Ready (governed), PowerReserved (False says why pods wait),
	// and Stalled only while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation this status answers; -1 is
	// "none yet".
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"` //nolint:kubeapilinter // never 0: -1 is none yet, and generations start at 1

	// epoch is the number of the operator leader that wrote last; it only grows,
	// so that a leader that was replaced can write no more.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch,omitempty"`

	// budget the pods are placed on.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Budget string `json:"budget,omitempty"`

	// requestedWatts is what this workload's pods need together, waiting ones
	// included.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	RequestedWatts *resource.Quantity `json:"requestedWatts,omitempty"`

	// reservedWatts is what is held for its pods by name. Watts kept free for
	// standby pods are not in it.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	ReservedWatts *resource.Quantity `json:"reservedWatts,omitempty"`

	// pods counts the pods by how far they are.
	// +optional
	Pods *GPUWorkloadPods `json:"pods,omitempty"`

	// reservations names the pods that hold watts.
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=4096
	Reservations []Reservation `json:"reservations,omitempty"`
}

// GPUWorkload is the power claim of a set of AI pods: they start once their
// watts were measured free. Nobody has to write one; accelerator pods
// without get one made for their controller.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=gpuw,categories=counterweight
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.class`
// +kubebuilder:printcolumn:name="Budget",type=string,JSONPath=`.status.budget`,description="The budget its pods are placed on"
// +kubebuilder:printcolumn:name="Requested",type=string,JSONPath=`.status.requestedWatts`,description="Watts its pods need together"
// +kubebuilder:printcolumn:name="Reserved",type=string,JSONPath=`.status.reservedWatts`,description="Watts held for it"
// +kubebuilder:printcolumn:name="Gated",type=integer,JSONPath=`.status.pods.gated`,description="Pods that wait for watts"
// +kubebuilder:printcolumn:name="Admitted",type=integer,JSONPath=`.status.pods.admitted`,description="Pods given watts and not running yet"
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.status.pods.running`
// +kubebuilder:printcolumn:name="Power",type=string,JSONPath=`.status.conditions[?(@.type=="PowerReserved")].status`,description="PowerReserved: whether every pod has its watts"
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.conditions[?(@.type=="PowerReserved")].reason`,description="Why pods wait, or Reserved"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,priority=1,description="Whether it is governed"
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="PowerReserved")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name of a GPUWorkload must be at most 63 characters: it becomes a label value"
type GPUWorkload struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is at most 63
	// characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is which pods claim watts, and how many.
	// +required
	Spec GPUWorkloadSpec `json:"spec,omitzero"`

	// status is what was decided.
	// +optional
	// +default={"observedGeneration": -1}
	Status GPUWorkloadStatus `json:"status,omitempty,omitzero"`
}

// GPUWorkloadList is a list of GPUWorkloads.
// +kubebuilder:object:root=true
type GPUWorkloadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty,omitzero"`
	Items           []GPUWorkload `json:"items"`
}
