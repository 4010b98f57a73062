// Package gate decides which pods wait for watts and how one is let in (design section 9). It holds the
// one list of accelerator resources, from which both the admission policies and the operator's watt table
// are made, and the one patch that opens a pod's gate.
//
// It is pure: it never reads a cluster, never logs, and never decides whether there is room for a pod;
// that is internal/power's.
package gate
