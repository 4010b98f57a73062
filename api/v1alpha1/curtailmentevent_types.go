package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CurtailmentState says how far a curtailment is.
// +kubebuilder:validation:Enum=Scheduled;Active;Ended
type CurtailmentState string

// The values of CurtailmentEvent.status.state.
const (
	// CurtailmentScheduled: before spec.start.
	CurtailmentScheduled CurtailmentState = "Scheduled"
	// CurtailmentActive: from spec.start to spec.end.
	CurtailmentActive CurtailmentState = "Active"
	// CurtailmentEnded: after spec.end.
	CurtailmentEnded CurtailmentState = "Ended"
)

// CurtailmentEventSpec says what the grid asks, of which budget, and when.
// +kubebuilder:validation:XValidation:rule="self.budget == oldSelf.budget",message="spec.budget is immutable: delete this CurtailmentEvent and create one for the other budget"
// +kubebuilder:validation:XValidation:rule="has(self.limitWatts) != has(self.reduceByWatts)",message="exactly one of spec.limitWatts and spec.reduceByWatts must be set: the limit to keep, or how much less than without the event"
// +kubebuilder:validation:XValidation:rule="self.start < self.end",message="spec.start must be before spec.end: check the dates and the time zones"
type CurtailmentEventSpec struct {
	// budget names the PowerBudget to curtail, e.g. site-a. It can't be changed
	// later.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.budget must be the name of a PowerBudget: lower-case letters, digits, '-' and '.', e.g. site-a"
	Budget string `json:"budget,omitempty"`

	// limitWatts is the most the budget may draw during the event. Whole watts,
	// e.g. 12M. One of limitWatts and reduceByWatts is needed.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="limitWatts must be whole watts from 0 to 1T, e.g. 12M"
	LimitWatts *resource.Quantity `json:"limitWatts,omitempty"`

	// reduceByWatts reduces the limit that would otherwise be in force by that
	// much. Whole watts, e.g. 3M. It lowers the limit and not the draw: a site
	// that draws 5M under its limit may not notice.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="reduceByWatts must be whole watts from 0 to 1T, e.g. 3M"
	ReduceByWatts *resource.Quantity `json:"reduceByWatts,omitempty"`

	// start is when the event begins, e.g. 2026-07-01T16:00:00Z. The draw is
	// down by then: shedding starts early enough before.
	// +required
	Start metav1.Time `json:"start,omitzero"` //nolint:kubeapilinter // the zero time is omitted, which the schema refuses

	// end is when the event is over, after start, e.g. 2026-07-01T19:00:00Z.
	// +required
	End metav1.Time `json:"end,omitzero"` //nolint:kubeapilinter // the zero time is omitted, which the schema refuses

	// reason is for people, e.g. "grid emergency level 2".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// source says who asks, e.g. the grid operator's programme or a ticket.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Source string `json:"source,omitempty"`
}

// CurtailmentEventStatus says how far the event is and what was delivered.
// +kubebuilder:validation:MinProperties=1
type CurtailmentEventStatus struct {
	// conditions are Ready, Scheduled, Active, Met, Ended, and Stalled only while
	// true.
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

	// state is Scheduled, Active or Ended.
	// +optional
	State CurtailmentState `json:"state,omitempty"`

	// baselineWatts is what the budget drew before the event's shedding began.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	BaselineWatts *resource.Quantity `json:"baselineWatts,omitempty"`

	// deliveredWatts is by how much the draw was below baselineWatts, as
	// recorded when the event was met and again when it ended; 0 where it was
	// not below.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	DeliveredWatts *resource.Quantity `json:"deliveredWatts,omitempty"`

	// metAt is when the draw was first under the event's limit.
	// +optional
	MetAt *metav1.Time `json:"metAt,omitempty"`
}

// CurtailmentEvent is one request of the grid to draw less for a while. The
// budget's limit is lower from start to end, and its pools have shed by
// start.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=curt,categories=counterweight
// +kubebuilder:printcolumn:name="Budget",type=string,JSONPath=`.spec.budget`
// +kubebuilder:printcolumn:name="Limit",type=string,JSONPath=`.spec.limitWatts`,description="The most the budget may draw during the event, in watts"
// +kubebuilder:printcolumn:name="Reduce-By",type=string,JSONPath=`.spec.reduceByWatts`,description="How much lower than otherwise the limit is, in watts"
// +kubebuilder:printcolumn:name="Start",type=string,JSONPath=`.spec.start`
// +kubebuilder:printcolumn:name="End",type=string,JSONPath=`.spec.end`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Met",type=string,JSONPath=`.status.conditions[?(@.type=="Met")].status`,description="Whether the draw was under the event's limit in time"
// +kubebuilder:printcolumn:name="Delivered",type=string,priority=1,JSONPath=`.status.deliveredWatts`,description="Watts below the baseline"
// +kubebuilder:printcolumn:name="Source",type=string,priority=1,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name of a CurtailmentEvent must be at most 63 characters: shorten it"
type CurtailmentEvent struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is at most 63
	// characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what the grid asks.
	// +required
	Spec CurtailmentEventSpec `json:"spec,omitzero"`

	// status is what was decided.
	// +optional
	// +default={"observedGeneration": -1}
	Status CurtailmentEventStatus `json:"status,omitempty,omitzero"`
}

// CurtailmentEventList is a list of CurtailmentEvents.
// +kubebuilder:object:root=true
type CurtailmentEventList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty,omitzero"`
	Items           []CurtailmentEvent `json:"items"`
}
