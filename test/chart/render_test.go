package chart

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// everything turns on whatever there is.
var everything = []string{
	"--set", "mining[0].namespace=mining", "--set", "mining[0].devices={10.20.0.0/15}",
	"--set", "mining[1].namespace=mining-2", "--set", "mining[1].devices={10.30.0.0/16}",
	"--set", "metrics.serviceMonitor.enabled=true,metrics.rules.enabled=true,metrics.dashboards.enabled=true",
	"--set", "metrics.serviceMonitor.labels.release=prometheus,metrics.serviceMonitor.labels.a=b,metrics.serviceMonitor.labels.z=y",
	"--set", "accelerators.deviceWatts=1,accelerators.claimWatts=2",
	"--set", "accelerators.accelerators[0].name=a.b/c,accelerators.accelerators[0].watts=5,accelerators.accelerators[1].prefix=d.e/",
	"--set", "nodeSelector.x=y,nodeSelector.a=b,priorityClassName=system-cluster-critical,tolerations[0].operator=Exists",
}

func render(t *testing.T, namespace string, args ...string) string {
	t.Helper()
	return mustHelm(t, append([]string{"template", "cw", chartFolder(), "-n", namespace}, args...)...)
}

func TestRenderingIsDeterministic(t *testing.T) {
	first := render(t, power, everything...)
	for range 5 {
		if diff := cmp.Diff(first, render(t, power, everything...)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// Every object passes a real API server, which refuses fields that it does not know, and every pod passes
// restricted pod security.
func TestEveryObjectIsValid(t *testing.T) {
	for _, name := range []string{power, "mining", "mining-2"} {
		namespace(t, name, nil)
	}
	monitoring(t)
	for name, args := range map[string][]string{"as it comes": nil, "with everything": everything} {
		t.Run(name, func(t *testing.T) {
			for _, o := range objectsOf(t, render(t, power, args...)) {
				if err := admin.Create(t.Context(), o.DeepCopy(), client.DryRunAll, client.FieldValidation("Strict")); err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
				podPasses(t, o)
			}
		})
	}
}

// podPasses tries the pod of a workload, which the API server judges no sooner.
func podPasses(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	template, found, err := unstructured.NestedMap(o.Object, "spec", "template", "spec")
	if !found || err != nil {
		return
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: "trial"}}
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(template, &pod.Spec))
	if pod.Spec.PriorityClassName != "" { // system classes are for namespaces that a quota allows
		pod.Spec.PriorityClassName = ""
	}
	if err := admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Errorf("the pods of %s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

// monitoring stands in for the CRDs of the Prometheus operator: their group, kinds and no schema.
func monitoring(t *testing.T) {
	t.Helper()
	open := true
	for kind, plural := range map[string]string{"ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"} {
		crd := &unstructured.Unstructured{}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&apiextensionsv1.CustomResourceDefinition{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
			ObjectMeta: metav1.ObjectMeta{Name: plural + ".monitoring.coreos.com"},
			Spec: apiextensionsv1.CustomResourceDefinitionSpec{
				Group: "monitoring.coreos.com", Scope: apiextensionsv1.NamespaceScoped,
				Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, ListKind: kind + "List", Plural: plural, Singular: strings.ToLower(kind)},
				Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{
					OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &open},
				}}},
			},
		})
		must(t, err)
		crd.Object = content
		must(t, admin.Create(t.Context(), crd))
		t.Cleanup(func() { _ = admin.Delete(context.WithoutCancel(t.Context()), crd) })
	}
	for _, kind := range []string{"ServiceMonitor", "PodMonitor", "PrometheusRule"} {
		eventually(t, kind+" is served", func(ctx context.Context) error {
			_, err := exists(ctx, "monitoring.coreos.com/v1", kind, "default", "none")
			return client.IgnoreNotFound(err)
		})
	}
}
