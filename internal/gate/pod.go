package gate

import (
	"encoding/json"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// Operator is the user that may open gates without being asked for the verb: the ServiceAccount that
// config/rbac makes. The policies compare with it; it is written down nowhere else in Go.
const Operator = "system:serviceaccount:counterweight-system:counterweight-operator"

// The policies, each with a binding of its name: the first adds the gate, the second refuses pods without it,
// and the others guard what is there.
const (
	PolicyGate        = "gate.power.counterweight.dev"
	PolicyGatePresent = "gate-present.power.counterweight.dev"
	PolicyGateKept    = "gate-kept.power.counterweight.dev"
	PolicyEnrolment   = "enrolment.power.counterweight.dev"
	PolicyPriority    = "priority.power.counterweight.dev"
)

// Gated reports whether a pod waits at the gate. The gate's presence is all that counts: a namespace may
// have left, or the policies may be gone, while the pod still waits.
func Gated(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool {
		return g.Name == powerv1.Gate
	})
}

// Admitted returns the watts a pod was let in with. ok is false for a pod that was not, or whose record
// can't be read; if it runs, it is counted by the table (L8).
func Admitted(pod *corev1.Pod) (watts int64, ok bool) {
	// 40 bits hold the largest watts the API takes; ParseUint refuses signs.
	n, err := strconv.ParseUint(pod.Annotations[powerv1.AdmittedAnnotation], 10, 40)
	if err != nil || n > maxPodWatts {
		return 0, false
	}
	return int64(n), true
}

// OpenPatch returns the one patch that lets a pod in (L6): its gate off, its watts written on it, and its
// budget's nodes added to its nodeSelector. uid makes it fail (422) on another pod of the same name, and
// resourceVersion (409) on a pod that changed since it was looked at; it panics where one is empty. A nodeSelector key
// that the pod has with another value fails the patch as a whole, and the gate stays. Gates of others stay.
func OpenPatch(uid types.UID, resourceVersion string, watts int64, nodeSelector map[string]string) ([]byte, types.PatchType) {
	if uid == "" || resourceVersion == "" {
		panic("gate: a patch without uid and resourceVersion would open any pod of that name")
	}
	type gateOff struct {
		Name  string `json:"name"`
		Patch string `json:"$patch"`
	}
	type metadata struct {
		UID             types.UID         `json:"uid"`
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	}
	type spec struct {
		SchedulingGates []gateOff         `json:"schedulingGates"`
		NodeSelector    map[string]string `json:"nodeSelector,omitempty"`
	}
	patch, err := json.Marshal(struct {
		Metadata metadata `json:"metadata"`
		Spec     spec     `json:"spec"`
	}{
		Metadata: metadata{
			UID:             uid,
			ResourceVersion: resourceVersion,
			Annotations:     map[string]string{powerv1.AdmittedAnnotation: strconv.FormatInt(watts, 10)},
		},
		Spec: spec{
			SchedulingGates: []gateOff{{Name: powerv1.Gate, Patch: "delete"}},
			NodeSelector:    nodeSelector,
		},
	})
	if err != nil {
		panic(err) // strings and maps of strings always marshal
	}
	return patch, types.StrategicMergePatchType
}
