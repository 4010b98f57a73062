package gate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

// gatedByServer says whether the API server gates a pod with this spec. The request of a device is its
// limit, as the API server wants it; other resources get none.
func gatedByServer(ctx context.Context, c *cluster, s corev1.PodSpec) (bool, error) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: red, GenerateName: "equal-"}, Spec: *s.DeepCopy()}
	if err := c.tenant.Create(ctx, pod, client.DryRunAll); err != nil {
		return false, err
	}
	return gate.Gated(pod), nil
}

// The policies' expression and IsAccelerated are the same test: else a pod waits for ever, or runs
// without watts.
func TestIsAcceleratedSaysWhatTheAPIServerDoes(t *testing.T) {
	c := startCluster(t)
	tests := map[string]struct {
		spec corev1.PodSpec
		want bool
	}{
		"GPU":            {spec(container("c", limits("nvidia.com/gpu", "1"))), true},
		"zero GPUs":      {spec(container("c", limits("nvidia.com/gpu", "0"))), true},
		"shared GPU":     {spec(container("c", limits("nvidia.com/gpu.shared", "1"))), true},
		"MIG slice":      {spec(container("c", limits("nvidia.com/mig-1g.10gb", "1"))), true},
		"AMD":            {spec(container("c", limits("amd.com/gpu", "1"))), true},
		"AMD partition":  {spec(container("c", limits("amd.com/cpx_nps4", "1"))), true},
		"Intel":          {spec(container("c", limits("gpu.intel.com/xe", "1"))), true},
		"Gaudi":          {spec(container("c", limits("habana.ai/gaudi", "1"))), true},
		"DeviceClass":    {spec(container("c", limits("deviceclass.resource.kubernetes.io/gpu.example.com", "1"))), true},
		"last container": {spec(container("a", nil), container("b", nil), container("c", limits("nvidia.com/gpu", "1"))), true},
		"init container": {corev1.PodSpec{Containers: []corev1.Container{container("c", nil)},
			InitContainers: []corev1.Container{container("i", limits("amd.com/gpu", "1"))}}, true},
		"sidecar": {corev1.PodSpec{Containers: []corev1.Container{container("c", nil)},
			InitContainers: []corev1.Container{always(container("i", limits("amd.com/gpu", "1")))}}, true},
		"claim": {corev1.PodSpec{Containers: []corev1.Container{container("c", nil)},
			ResourceClaims: []corev1.PodResourceClaim{{Name: "r", ResourceClaimName: new("r")}}}, true},
		"CPU":                  {spec(container("c", limits("cpu", "1"))), false},
		"nothing":              {spec(container("c", nil)), false},
		"network card":         {spec(container("c", limits("nvidia.com/hostdev", "1"))), false},
		"begins like a name":   {spec(container("c", limits("nvidia.com/gpuless", "1"))), false},
		"begins like a domain": {spec(container("c", limits("gpu.intel.community/xe", "1"))), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := gatedByServer(t.Context(), c, test.spec)
			if err != nil {
				t.Fatal(err)
			}
			if ours := gate.Builtin().IsAccelerated(&test.spec); got != test.want || ours != test.want {
				t.Errorf("API server %v, IsAccelerated %v, want %v", got, ours, test.want)
			}
		})
	}
	t.Run("any", rapid.MakeCheck(func(rt *rapid.T) {
		made := drawSpec(rt)
		got, err := gatedByServer(t.Context(), c, made)
		if err != nil {
			rt.Fatal(err)
		}
		if ours := gate.Builtin().IsAccelerated(&made); got != ours {
			rt.Errorf("API server %v, IsAccelerated %v", got, ours)
		}
	}))
}

// largePod asks for count resources in each of many containers, none an accelerator.
func largePod(containers, count int) corev1.PodSpec {
	large := corev1.PodSpec{}
	for i := range containers {
		list := corev1.ResourceList{}
		for j := range count {
			list[corev1.ResourceName(fmt.Sprintf("example.com/device-%d", j))] = resource.MustParse("1")
		}
		large.Containers = append(large.Containers, container(fmt.Sprintf("c-%d", i), list))
	}
	return large
}

// The API server stops an expression that costs too much and refuses the pod. The largest pod it takes must
// stay below that, and so must any real one with the largest table.
func TestALargePodIsGated(t *testing.T) {
	c := startCluster(t)
	longest := strings.Builder{}
	longest.WriteString("deviceWatts: 1\nclaimWatts: 1\naccelerators:\n- {name: nvidia.com/gpu}\n")
	for i := range 49 {
		fmt.Fprintf(&longest, "- {prefix: an-accelerator.of-a-vendor-with-a-long-domain.example.com/%d-}\n", i)
	}
	const other = "largetable"
	c.applyPolicies(t, load(t, longest.String()), other)
	tests := map[string]struct {
		namespace         string
		containers, count int
	}{
		"built-in table, 12,000 resources": {red, 240, 50},
		"largest table, 2,000 resources":   {other, 50, 40},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			large := largePod(test.containers, test.count)
			large.Containers[test.containers-1].Resources.Limits["nvidia.com/gpu"] = resource.MustParse("1")
			pod := &corev1.Pod{ObjectMeta: named(test.namespace, "large"), Spec: large}
			if err := c.admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			wantGated(t, pod, true)
		})
	}
}

// applyPolicies puts the policies of a table into force in a namespace of their own.
func (c *cluster) applyPolicies(t *testing.T, table *gate.Table, namespace string) {
	t.Helper()
	policies, err := gate.Policies(table)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: named("", namespace)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gate.yaml", "gate-present.yaml"} {
		text := strings.ReplaceAll(string(policies[name]), ".power.counterweight.dev\n", "."+namespace+".example.com\n")
		text = strings.ReplaceAll(text, "power.counterweight.dev/admission: Gated", "kubernetes.io/metadata.name: "+namespace)
		objects, err := decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if err := c.admin.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustEventually(t, func(ctx context.Context) error {
		pod := gpuPod(namespace, "probe")
		if err := c.admin.Create(ctx, pod, client.DryRunAll); err != nil {
			return err
		}
		if !gate.Gated(pod) {
			return fmt.Errorf("not in force")
		}
		return refusedBy(c.admin.Create(ctx, gpuPod(namespace, "probe", onNode), client.DryRunAll), "gate-present."+namespace+".example.com")
	})
}
