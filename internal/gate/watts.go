package gate

import (
	"math"
	"math/bits"

	corev1 "k8s.io/api/core/v1"
)

// maxPodWatts is the most a pod is counted at: the largest watts the API takes (1 TW).
const maxPodWatts = 1_000_000_000_000

// IsAccelerated reports whether a pod with this spec waits at the gate when it is created in an enrolled
// namespace. It says exactly what the policies' expression says: asking for zero devices counts, and so
// does a resource claim for anything.
func (t *Table) IsAccelerated(spec *corev1.PodSpec) bool {
	if len(spec.ResourceClaims) > 0 {
		return true
	}
	for _, limits := range allLimits(spec) {
		for name := range limits {
			if t.Covers(name) {
				return true
			}
		}
	}
	return false
}

// Accelerators returns how many of each accelerator resource a pod holds, counted as the scheduler counts:
// the sum of its containers and sidecars, or what an init container needs while it runs, whichever is
// more. Devices that a resource claim stands for are not among them: their number is not in the pod.
func (t *Table) Accelerators(spec *corev1.PodSpec) map[corev1.ResourceName]int64 {
	counts := map[corev1.ResourceName]int64{}
	for _, limits := range allLimits(spec) {
		for name := range limits {
			if _, done := counts[name]; !done && t.Covers(name) {
				counts[name] = effective(spec, name)
			}
		}
	}
	return counts
}

// WattsFor returns the watts that a pod counts for by the table, and whether they are known: false says
// that some of them are the table's assumption (deviceWatts, claimWatts) and no row's figure. The watts
// are the number to reserve in either case.
func (t *Table) WattsFor(spec *corev1.PodSpec) (watts int64, known bool) {
	known = true
	for name, count := range t.Accelerators(spec) {
		unit := t.deviceWatts
		if r, _ := t.find(name); r.Watts != nil {
			unit = *r.Watts
		} else if count > 0 {
			known = false
		}
		watts = capped(watts, product(count, unit))
	}
	if claims := len(spec.ResourceClaims); claims > 0 {
		watts, known = capped(watts, product(int64(claims), t.claimWatts)), false
	}
	return watts, known
}

// Declared returns the watts of a pod whose claim says so many for each accelerator. Both are a tenant's to write, and
// their product may be more than can be counted: it stops where the API's watts do.
func (t *Table) Declared(spec *corev1.PodSpec, perAccelerator int64) (watts int64) {
	for _, count := range t.Accelerators(spec) {
		watts = capped(watts, product(count, perAccelerator))
	}
	return watts
}

// allLimits returns every place of a spec where devices can be asked for. Limits, not requests: the API
// server refuses an extended resource whose request is not its limit. It refuses devices for a whole pod
// as of 1.36; they are looked at so that a later one that takes them finds no hole.
func allLimits(spec *corev1.PodSpec) []corev1.ResourceList {
	lists := make([]corev1.ResourceList, 0, 1+len(spec.Containers)+len(spec.InitContainers))
	if spec.Resources != nil {
		lists = append(lists, spec.Resources.Limits)
	}
	for i := range spec.Containers {
		lists = append(lists, spec.Containers[i].Resources.Limits)
	}
	for i := range spec.InitContainers {
		lists = append(lists, spec.InitContainers[i].Resources.Limits)
	}
	return lists
}

// effective counts one resource. Sidecars (init containers that restart always) run on beside everything
// that starts after them.
func effective(spec *corev1.PodSpec, name corev1.ResourceName) int64 {
	var running, sidecars, starting int64
	for i := range spec.Containers {
		running = sum(running, units(spec.Containers[i].Resources.Limits, name))
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		need := sum(sidecars, units(c.Resources.Limits, name))
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars = need
		}
		starting = max(starting, need)
	}
	count := max(sum(running, sidecars), starting)
	if spec.Resources != nil {
		count = max(count, units(spec.Resources.Limits, name))
	}
	return count
}

func units(limits corev1.ResourceList, name corev1.ResourceName) int64 {
	q, ok := limits[name]
	if !ok {
		return 0
	}
	return max(q.Value(), 0)
}

// sum adds two counts that are not negative and stops at the largest.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// product multiplies two counts that are not negative, up to maxPodWatts.
func product(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 || lo > maxPodWatts {
		return maxPodWatts
	}
	return int64(lo)
}

func capped(a, b int64) int64 { return min(a+b, maxPodWatts) }
