// Package v1alpha1 holds the four kinds of power.counterweight.dev/v1alpha1: PowerBudget, MinerPool,
// GPUWorkload and CurtailmentEvent, with their conditions, reasons, labels and defaults. It says what
// may be asked for and how it is reported; it never decides who gets which watts.
//
// Watts are resource.Quantity in fields that end in Watts, whole, from 0 to 1T. Durations are whole
// seconds in fields that end in Seconds. There are no bools and no floats. All validation is in the
// schemas and their CEL rules.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="applyconfiguration"
// +groupName=power.counterweight.dev
package v1alpha1
