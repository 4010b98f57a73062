package gate_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/counterweight-dev/counterweight/internal/gate"
)

const smallTable = `
deviceWatts: 1000
claimWatts: 5000
accelerators:
- {name: example.com/npu, watts: 300}
- {prefix: example.com/npu-, watts: 100}
- {prefix: example.com/npu-big-, watts: 700}
- {name: example.com/npu-big-1, watts: 650}
- {name: example.com/dark}
`

func load(t *testing.T, text string) *gate.Table {
	t.Helper()
	table, err := gate.LoadTable(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLoadTableNamesTheFieldThatIsWrong(t *testing.T) {
	const head = "deviceWatts: 1\nclaimWatts: 1\naccelerators:\n"
	tests := map[string]struct{ text, want string }{
		"empty":                 {"", "deviceWatts: Required"},
		"no yaml":               {"{", "accelerator table: "},
		"unknown field":         {head + "- {name: a/b, wats: 3}", `unknown field "accelerators[0].wats"`},
		"a word for watts":      {head + "- {name: a/b, watts: many}", "watts of type int64"},
		"no device watts":       {"claimWatts: 1\naccelerators: [{name: a/b}]", "deviceWatts: Required"},
		"no claim watts":        {"deviceWatts: 1\naccelerators: [{name: a/b}]", "claimWatts: Required"},
		"device watts zero":     {"deviceWatts: 0\nclaimWatts: 1\naccelerators: [{name: a/b}]", "deviceWatts: Invalid value: 0"},
		"empty list":            {head, "accelerators: Required"},
		"too long a list":       {head + strings.Repeat("- {name: a/b}\n", 51), "accelerators: Too many: 51"},
		"neither name":          {head + "- {watts: 1}", "accelerators[0]: Invalid value"},
		"both name and prefix":  {head + "- {name: a/b, prefix: a/c}", "accelerators[0]: Invalid value"},
		"no domain":             {head + "- {name: a/b}\n- {name: cpu}", "accelerators[1].name: Invalid value: \"cpu\""},
		"prefix without domain": {head + "- {prefix: nvidia.com}", "accelerators[0].prefix: Invalid value"},
		"quote in a name":       {head + `- {name: "a/b'"}`, "accelerators[0].name: Invalid value"},
		"quote in a prefix":     {head + `- {prefix: "a/b' || true || k == 'c"}`, "accelerators[0].prefix: Invalid value"},
		"negative watts":        {head + "- {name: a/b, watts: -1}", "accelerators[0].watts: Invalid value: -1"},
		"too many watts":        {head + "- {name: a/b, watts: 1000001}", "accelerators[0].watts: Invalid value: 1000001"},
		"twice":                 {head + "- {name: a/b}\n- {name: a/b, watts: 2}", "accelerators[1]: Duplicate value"},
		"long source":           {head + "- {name: a/b, source: " + strings.Repeat("x", 257) + "}", "accelerators[0].source: Too long"},
		"too large":             {head + "- {name: a/b}\n#" + strings.Repeat("x", 1<<20), "larger than"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := gate.LoadTable(strings.NewReader(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	tests := map[corev1.ResourceName]bool{
		"nvidia.com/gpu":           true,
		"nvidia.com/gpu.shared":    true,
		"nvidia.com/mig-1g.10gb":   true,
		"amd.com/gpu":              true,
		"amd.com/cpx_nps4":         true,
		"gpu.intel.com/xe":         true,
		"gpu.intel.com/memory.max": true,
		"habana.ai/gaudi":          true,
		"deviceclass.resource.kubernetes.io/gpu.example.com": true,
		"cpu":                     false,
		"nvidia.com/gpuless":      false,
		"nvidia.com/hostdev":      false,
		"rdma/hca":                false,
		"requests.nvidia.com/gpu": false,
	}
	for name, want := range tests {
		if got := gate.Builtin().Covers(name); got != want {
			t.Errorf("Covers(%s) = %v, want %v", name, got, want)
		}
	}
}

func TestAnExactNameWinsOverAPrefixAndALongPrefixOverAShort(t *testing.T) {
	table := load(t, smallTable)
	tests := map[string]struct {
		name  string
		watts int64
		known bool
	}{
		"exact":                  {"example.com/npu", 300, true},
		"prefix":                 {"example.com/npu-small", 100, true},
		"longer prefix":          {"example.com/npu-big-2", 700, true},
		"exact below a prefix":   {"example.com/npu-big-1", 650, true},
		"row without watts":      {"example.com/dark", 1000, false},
		"not in the table":       {"nvidia.com/gpu", 0, true},
		"begins as an exact one": {"example.com/npus", 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := corev1.PodSpec{Containers: []corev1.Container{container("c", limits(test.name, "1"))}}
			watts, known := table.WattsFor(&pod)
			if watts != test.watts || known != test.known {
				t.Errorf("got %d, %v, want %d, %v", watts, known, test.watts, test.known)
			}
		})
	}
}
