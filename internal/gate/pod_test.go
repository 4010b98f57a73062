package gate_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

func TestOpenPatch(t *testing.T) {
	tests := map[string]struct {
		selector map[string]string
		want     string
	}{
		"with nodes": {
			selector: map[string]string{"hall": "two"},
			want: `{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"power.counterweight.dev/admitted":"10200"}},` +
				`"spec":{"schedulingGates":[{"name":"power.counterweight.dev/watts","$patch":"delete"}],"nodeSelector":{"hall":"two"}}}`,
		},
		"without nodes": {
			want: `{"metadata":{"uid":"u","resourceVersion":"7","annotations":{"power.counterweight.dev/admitted":"10200"}},` +
				`"spec":{"schedulingGates":[{"name":"power.counterweight.dev/watts","$patch":"delete"}]}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			patch, kind := gate.OpenPatch("u", "7", 10200, test.selector)
			if string(patch) != test.want || kind != types.StrategicMergePatchType {
				t.Errorf("got %s %s\nwant %s", kind, patch, test.want)
			}
		})
	}
}

// Without either of them the patch would open whatever pod has the name.
func TestOpenPatchInsistsOnThePod(t *testing.T) {
	for name, call := range map[string]func(){
		"no uid":             func() { gate.OpenPatch("", "7", 1, nil) },
		"no resourceVersion": func() { gate.OpenPatch("u", "", 1, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("made a patch")
				}
			}()
			call()
		})
	}
}

func TestAdmitted(t *testing.T) {
	tests := map[string]struct {
		text  string
		watts int64
		ok    bool
	}{
		"watts":          {"10200", 10200, true},
		"none needed":    {"0", 0, true},
		"the most":       {"1000000000000", 1_000_000_000_000, true},
		"over the most":  {"1000000000001", 0, false},
		"far over":       {"99999999999999999999", 0, false},
		"negative":       {"-1", 0, false},
		"signed":         {"+1", 0, false},
		"with a suffix":  {"10k", 0, false},
		"empty":          {"", 0, false},
		"leading blanks": {" 1", 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			watts, ok := gate.Admitted(cpuPod("a", "b", admittedWith(test.text)))
			if watts != test.watts || ok != test.ok {
				t.Errorf("got %d, %v, want %d, %v", watts, ok, test.watts, test.ok)
			}
		})
	}
	if _, ok := gate.Admitted(&corev1.Pod{}); ok {
		t.Error("a pod without annotations is admitted")
	}
}

func TestGated(t *testing.T) {
	wantGated(t, cpuPod("a", "none"), false)
	wantGated(t, cpuPod("a", "foreign", withGates("kueue.x-k8s.io/admission")), false)
	wantGated(t, cpuPod("a", "ours", withGates("kueue.x-k8s.io/admission", "power.counterweight.dev/watts")), true)
}
