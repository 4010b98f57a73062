package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DeclaredWatts says whether a workload may declare less than the
// accelerator table says.
// +kubebuilder:validation:Enum=TableFloor;Trusted
type DeclaredWatts string

// The values of PowerBudget.spec.declaredWatts.
const (
	// DeclaredTableFloor counts a pod at the larger of its claim and the
	// accelerator table.
	DeclaredTableFloor DeclaredWatts = "TableFloor"
	// DeclaredTrusted counts a pod at its claim, even where the accelerator
	// table says more.
	DeclaredTrusted DeclaredWatts = "Trusted"
)

// OnShortfall says what to do when firm load alone is over the limit.
// +kubebuilder:validation:Enum=Protect;EvictInterruptible
type OnShortfall string

// The values of PowerBudget.spec.onShortfall.
const (
	// ShortfallProtect evicts nobody.
	ShortfallProtect OnShortfall = "Protect"
	// ShortfallEvictInterruptible evicts pods of workloads that are
	// interruptible: WhenShort.
	ShortfallEvictInterruptible OnShortfall = "EvictInterruptible"
)

// LimitReason says what set the limit in force.
// +kubebuilder:validation:Enum=Spec;Curtailment;ParentLimit
type LimitReason string

// The values of PowerBudget.status.limitReason.
const (
	// LimitReasonSpec: spec.limitWatts less the margin is the smallest.
	LimitReasonSpec LimitReason = "Spec"
	// LimitReasonCurtailment: an active CurtailmentEvent is the smallest.
	LimitReasonCurtailment LimitReason = "Curtailment"
	// LimitReasonParentLimit: a budget above this one has a smaller limit.
	LimitReasonParentLimit LimitReason = "ParentLimit"
)

// PowerBudgetSpec says how many watts one electrical node may draw, and who
// it feeds.
// +kubebuilder:validation:XValidation:rule="has(self.parent) == has(oldSelf.parent) && (!has(self.parent) || self.parent == oldSelf.parent)",message="spec.parent is immutable, also against adding and removing it: delete this PowerBudget and create it under the other parent"
// +kubebuilder:validation:XValidation:rule="!has(self.baseLoadWatts) || !isQuantity(string(self.baseLoadWatts)) || !isQuantity(string(self.limitWatts)) || quantity(string(self.baseLoadWatts)).compareTo(quantity(string(self.limitWatts))) <= 0",message="spec.baseLoadWatts must not be more than spec.limitWatts: raise the limit or correct the base load"
type PowerBudgetSpec struct {
	// parent names the PowerBudget that feeds this one, e.g. site-a. What is
	// drawn here counts there too. Leave it out on a root (the grid connection).
	// It can't be changed, added or removed later.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.parent must be the name of a PowerBudget: lower-case letters, digits, '-' and '.', e.g. site-a"
	Parent string `json:"parent,omitempty"`

	// limitWatts is the most that everything under this budget may draw
	// together: base load, miners and AI pods. Whole watts from 0 to 1T, e.g.
	// 20M, 3.5k or 10200. It may be more than the parent's, and siblings may add
	// up to more than their parent: the smallest limit on the way up counts.
	// +required
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="limitWatts must be whole watts from 0 to 1T, e.g. 20M"
	LimitWatts resource.Quantity `json:"limitWatts"`

	// marginPercent of limitWatts is never used: room for metering error,
	// transients and devices that forget over a reboot that they slept. 0 to 50;
	// 2 if left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=50
	MarginPercent *int32 `json:"marginPercent,omitempty"`

	// baseLoadWatts is what nobody here controls: cooling, network, idle nodes.
	// It is counted as drawn wherever no meter says more. Whole watts, e.g.
	// 400k; 0 if left out. At most limitWatts.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="baseLoadWatts must be whole watts from 0 to 1T, e.g. 400k"
	BaseLoadWatts *resource.Quantity `json:"baseLoadWatts,omitempty"`

	// headroomWatts is kept free of mining, so that the next AI pods start at
	// once instead of waiting for miners to stop. Whole watts, e.g. 200k; 0 if
	// left out.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="headroomWatts must be whole watts from 0 to 1T, e.g. 200k"
	HeadroomWatts *resource.Quantity `json:"headroomWatts,omitempty"`

	// nodeSelector is the labels of the nodes this budget feeds, e.g. {hall:
	// one}. A pod admitted here is pinned to them, so its watts are drawn where
	// they were reserved. Leave it out on a budget that feeds no accelerator
	// nodes of its own.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && !format.qualifiedName().validate(k).hasValue() && self[k].size() <= 63)",message="spec.nodeSelector must be node labels as kubectl label takes them, e.g. hall: one"
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// leaseSeconds is how long a mining agent may go on drawing without hearing
	// from the operator; then it sheds to its floor. 15 to 600; 120 if left out.
	// Longer survives longer outages of the operator; it delays nothing else,
	// since a planned fall of the limit is obeyed either way.
	// +optional
	// +kubebuilder:validation:Minimum=15
	// +kubebuilder:validation:Maximum=600
	LeaseSeconds int32 `json:"leaseSeconds,omitempty"`

	// declaredWatts says how a GPUWorkload's own wattsPerPod or
	// wattsPerAccelerator counts here. TableFloor (if left out): the larger of
	// the claim and the operator's accelerator table. Trusted: the claim, even
	// if the table says more; for sites that cap their accelerators' power.
	// +optional
	DeclaredWatts DeclaredWatts `json:"declaredWatts,omitempty"`

	// onShortfall says what to do when base load and AI pods alone are over the
	// limit, with mining already at its floor. Protect (if left out): say so and
	// evict nobody. EvictInterruptible: evict pods of GPUWorkloads with
	// interruptible: WhenShort, lowest priority first, until the rest fits.
	// +optional
	OnShortfall OnShortfall `json:"onShortfall,omitempty"`
}

// PowerBudgetStatus says who has which watts, as decided; live watts are
// metrics.
// +kubebuilder:validation:MinProperties=1
type PowerBudgetStatus struct {
	// conditions are Ready, WithinLimit, and Stalled only while true.
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

	// limitWatts is the limit in force now: the smallest of spec, active
	// curtailment and the limits above, less the margin.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	LimitWatts *resource.Quantity `json:"limitWatts,omitempty"`

	// limitReason says what set limitWatts: Spec, Curtailment, or ParentLimit.
	// +optional
	LimitReason LimitReason `json:"limitReason,omitempty"`

	// reservedWatts is what AI pods hold here and below, admitted or about to
	// be.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	ReservedWatts *resource.Quantity `json:"reservedWatts,omitempty"`

	// leasedWatts is what miners here and below are allowed to draw.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	LeasedWatts *resource.Quantity `json:"leasedWatts,omitempty"`

	// baseWatts is the base load counted here and below.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	BaseWatts *resource.Quantity `json:"baseWatts,omitempty"`

	// availableWatts is what further AI pods could be given here once mining has
	// shed all it can: limitWatts less baseWatts, reservedWatts and what the
	// miners draw asleep or can't give up; never below 0.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	AvailableWatts *resource.Quantity `json:"availableWatts,omitempty"`
}

// PowerBudget is one electrical node: a site's grid connection, a feeder, a
// PDU, a row of racks. Budgets form a tree; at every one of them base load,
// miners and AI pods together stay under the limit.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=pbud,categories=counterweight
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.spec.parent`
// +kubebuilder:printcolumn:name="Limit",type=string,JSONPath=`.status.limitWatts`,description="The limit in force now, in watts"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.limitReason`,description="What set the limit in force"
// +kubebuilder:printcolumn:name="Base",type=string,JSONPath=`.status.baseWatts`,description="Watts nobody here controls"
// +kubebuilder:printcolumn:name="Reserved",type=string,JSONPath=`.status.reservedWatts`,description="Watts AI pods hold"
// +kubebuilder:printcolumn:name="Leased",type=string,JSONPath=`.status.leasedWatts`,description="Watts miners may draw"
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.availableWatts`,description="Watts further AI pods could be given once mining has shed"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Within",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="WithinLimit")].status`,description="Whether everything counted here is under the limit"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name of a PowerBudget must be at most 63 characters: it becomes a label value"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.parent) || self.spec.parent != self.metadata.name",message="spec.parent must be another PowerBudget: leave it out on a root"
type PowerBudget struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is at most 63
	// characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what the site allows.
	// +required
	Spec PowerBudgetSpec `json:"spec,omitzero"` //nolint:kubeapilinter // omitted when empty, which the schema refuses

	// status is what was decided.
	// +optional
	// +default={"observedGeneration": -1}
	Status PowerBudgetStatus `json:"status,omitempty,omitzero"`
}

// PowerBudgetList is a list of PowerBudgets.
// +kubebuilder:object:root=true
type PowerBudgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty,omitzero"`
	Items           []PowerBudget `json:"items"`
}
