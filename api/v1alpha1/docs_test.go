package v1alpha1_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

// defaults are what kubectl explain must say of fields that may be left out.
var defaults = map[string]any{
	"PowerBudget.spec.marginPercent":       powerv1.DefaultMarginPercent,
	"PowerBudget.spec.leaseSeconds":        powerv1.DefaultLeaseSeconds,
	"PowerBudget.spec.declaredWatts":       powerv1.DefaultDeclaredWatts,
	"PowerBudget.spec.onShortfall":         powerv1.DefaultOnShortfall,
	"MinerPool.spec.control":               powerv1.DefaultControl,
	"MinerPool.spec.devices.firmware":      powerv1.DefaultFirmware,
	"MinerPool.spec.devicesPerAgent":       powerv1.DefaultDevicesPerAgent,
	"MinerPool.spec.uncertaintyPercent":    powerv1.DefaultUncertaintyPercent,
	"MinerPool.spec.agent.hostNetwork":     powerv1.DefaultHostNetwork,
	"GPUWorkload.spec.minPods":             powerv1.DefaultMinPods,
	"GPUWorkload.spec.interruptible":       powerv1.DefaultInterruptible,
	"GPUWorkload.spec.releaseDelaySeconds": powerv1.DefaultReleaseDelaySeconds,
}

// TestDocs checks what kubectl explain shows: lines short enough not to be wrapped twice, and the defaults
// that the code has.
func TestDocs(t *testing.T) {
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no CRDs", err)
	}
	documented := map[string]string{}
	for _, file := range files {
		crd := readCRD(t, file)
		collectDocs(documented, crd.Spec.Names.Kind, *crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
	for field, byDefault := range defaults {
		words := strings.Join(strings.Fields(documented[field]), " ")
		if want := fmt.Sprintf("%v (if left out)", byDefault); !strings.Contains(words, want) &&
			!strings.Contains(words, fmt.Sprintf("%v if left out", byDefault)) {
			t.Errorf("%s does not say %q: %s", field, want, words)
		}
	}
	for field, text := range documented {
		if slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return len(line) > 76 }) {
			t.Errorf("%s has a line of more than 76 characters, which kubectl explain breaks in two", field)
		}
	}
}

func collectDocs(documented map[string]string, field string, schema apiextensionsv1.JSONSchemaProps) {
	_, path, _ := strings.Cut(field, ".")
	if isForeign(path) {
		return
	}
	documented[field] = schema.Description
	for name, property := range schema.Properties {
		collectDocs(documented, join(field, name), property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		collectDocs(documented, field+"[]", *schema.Items.Schema)
	}
}
