package gate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helper "k8s.io/component-helpers/resource"
	"pgregory.net/rapid"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

func always(c corev1.Container) corev1.Container {
	c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	return c
}

func spec(containers ...corev1.Container) corev1.PodSpec {
	return corev1.PodSpec{Containers: containers}
}

func TestWattsFor(t *testing.T) {
	gpus := func(n string) corev1.Container { return container("c", limits("nvidia.com/gpu", n)) }
	withInit := func(s corev1.PodSpec, init ...corev1.Container) corev1.PodSpec {
		s.InitContainers = init
		return s
	}
	withClaims := func(s corev1.PodSpec, n int) corev1.PodSpec {
		s.ResourceClaims = make([]corev1.PodResourceClaim, n)
		return s
	}
	wholePod := spec(gpus("1"))
	wholePod.Resources = &corev1.ResourceRequirements{Limits: limits("nvidia.com/gpu", "4")}
	tests := map[string]struct {
		spec  corev1.PodSpec
		watts int64
		known bool
	}{
		"no device":                   {spec(container("c", limits("cpu", "2"))), 0, true},
		"eight GPUs":                  {spec(gpus("8")), 10200, true},
		"zero GPUs":                   {spec(gpus("0")), 0, true},
		"two containers":              {spec(gpus("1"), gpus("2")), 3825, true},
		"init container needs more":   {withInit(spec(gpus("1")), gpus("4")), 5100, true},
		"init container needs less":   {withInit(spec(gpus("2")), gpus("1")), 2550, true},
		"init containers in turn":     {withInit(spec(gpus("1")), gpus("2"), gpus("2")), 2550, true},
		"sidecar":                     {withInit(spec(gpus("1")), always(gpus("1"))), 2550, true},
		"init container by a sidecar": {withInit(spec(gpus("1")), always(gpus("1")), gpus("3")), 5100, true},
		"sidecar after it":            {withInit(spec(gpus("1")), gpus("3"), always(gpus("1"))), 3825, true},
		"for the whole pod":           {wholePod, 5100, true},
		"MIG slice":                   {spec(container("c", limits("nvidia.com/mig-1g.10gb", "2"))), 2550, true},
		"no figure":                   {spec(container("c", limits("amd.com/gpu", "2"))), 3668, false},
		"none of what has no figure":  {spec(container("c", limits("amd.com/gpu", "0"))), 0, true},
		"two kinds":                   {spec(container("c", limits("amd.com/gpu", "1", "nvidia.com/gpu", "1"))), 3109, false},
		"share and device":            {spec(container("c", limits("gpu.intel.com/xe", "1", "gpu.intel.com/memory.max", "8G"))), 1834, false},
		"one claim":                   {withClaims(spec(container("c", nil)), 1), 14500, false},
		"two claims and a GPU":        {withClaims(spec(gpus("1")), 2), 30275, false},
		"more than there can be":      {spec(gpus("9E"), gpus("9E")), 1_000_000_000_000, true},
		"more than an int64 can hold": {spec(container("c", limits("amd.com/gpu", "9E")), container("d", limits("amd.com/gpu", "9E"))), 1_000_000_000_000, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			watts, known := gate.Builtin().WattsFor(&test.spec)
			if watts != test.watts || known != test.known {
				t.Errorf("got %d W, known %v, want %d W, %v", watts, known, test.watts, test.known)
			}
		})
	}
}

// drawSpec makes specs with devices, other resources, sidecars and claims.
func drawSpec(t *rapid.T) corev1.PodSpec {
	names := []string{
		"nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "nvidia.com/gpus", "amd.com/gpu", "amd.com/cpx_nps4", "gpu.intel.com/xe",
		"gpu.intel.comx/xe", "deviceclass.resource.kubernetes.io/a.b", "example.com/nic", "cpu", "memory", "ephemeral-storage",
	}
	draw := func(prefix string, least, most int) []corev1.Container {
		list := make([]corev1.Container, rapid.IntRange(least, most).Draw(t, prefix+"s"))
		for i := range list {
			list[i] = container(prefix+string(rune('a'+i)), nil)
			if picked := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID[string]).Draw(t, "names"); len(picked) > 0 {
				list[i].Resources.Limits = corev1.ResourceList{}
				for _, name := range picked {
					count := rapid.Int64Range(0, 8).Draw(t, "count")
					list[i].Resources.Limits[corev1.ResourceName(name)] = *resource.NewQuantity(count, resource.DecimalSI)
				}
			}
		}
		return list
	}
	made := corev1.PodSpec{Containers: draw("main", 1, 3), InitContainers: draw("init", 0, 3)}
	for i := range made.InitContainers {
		if rapid.Bool().Draw(t, "sidecar") {
			made.InitContainers[i] = always(made.InitContainers[i])
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "claims") == 0 {
		made.ResourceClaims = []corev1.PodResourceClaim{{Name: "claim", ResourceClaimName: new("claim")}}
	}
	return made
}

// TestAcceleratorsCountAsTheSchedulerDoes compares with the function that the scheduler uses.
func TestAcceleratorsCountAsTheSchedulerDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		made := drawSpec(t)
		want := map[corev1.ResourceName]int64{}
		for name, q := range helper.PodLimits(&corev1.Pod{Spec: made}, helper.PodResourcesOptions{}) {
			if gate.Builtin().Covers(name) {
				want[name] = q.Value()
			}
		}
		if diff := cmp.Diff(want, gate.Builtin().Accelerators(&made)); diff != "" {
			t.Errorf("scheduler (-) and Accelerators (+):\n%s", diff)
		}
	})
}
