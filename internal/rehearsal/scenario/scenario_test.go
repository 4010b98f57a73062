package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

const small = `
fleet:
  groups:
  - {name: a, count: 3, model: S21, firmware: LuxOS, firstAddress: 127.10.0.1, budget: site, personas: {deaf: 1}}
gpuNodes:
- {name: gpu, count: 2, gpus: 8, budget: site, wattsPerGPU: 1.275k}
baseWatts: {site: 20k}
manifests:
- |
  apiVersion: power.counterweight.dev/v1alpha1
  kind: PowerBudget
  metadata: {name: site}
  spec: {limitWatts: 100k}
`

func read(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Read([]byte(text), t.TempDir())
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	return s
}

func TestReadFillsDefaults(t *testing.T) {
	s := read(t, small+`
timeline:
- at: 1m30s
  scale: {name: chat, replicas: 4}
- {at: 95, await: {workload: ns/job}}
`)
	got := []any{
		s.GPUNodes[0].WattsPerGPU.N, s.BaseWatts["site"].N, s.MiningNodes.Count, s.Operator.Replicas,
		*s.Startup.MiningSharePercent, *s.Judge.AllWorkloadsStarted, *s.Judge.RampSeconds,
		s.Timeline[0].At.D, s.Timeline[0].Scale.Kind, s.Timeline[1].At.D, s.Timeline[1].Await.Is, s.Timeline[1].Await.Timeout.D,
	}
	want := []any{
		int64(1275), int64(20000), 2, 1, 90.0, true, 20.0,
		90 * time.Second, "Deployment", 95 * time.Second, "Running", time.Minute,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadNamesTheFieldThatIsWrong(t *testing.T) {
	cases := map[string]struct{ add, want string }{
		"unknown field":        {"operator: {replica: 2}", `unknown field "operator.replica"`},
		"unknown in a list":    {"timeline: [{at: 1s, note: x, nots: z}]", `unknown field "timeline[0].nots"`},
		"unknown in condition": {"timeline: [{at: 1s, await: {condition: {kind: Job, name: a, type: B, typ: C}}}]", `typ"`},
		"wrong type":           {"operator: {replicas: three}", "operator.replicas: want int, got string"},
		"bad watts":            {"timeline: [{at: 1s, dropLimit: {budget: site, limitWatts: lots}}]", `timeline[0].dropLimit.limitWatts: "lots" is not watts`},
		"bad duration":         {"duration: soon", `duration: "soon" is not a duration`},
		"negative duration":    {"timeline: [{at: -1s, note: x}]", "timeline[0].at"},
		"two actions":          {"timeline: [{at: 1s, note: x, kill: sim}]", "timeline[0]: want exactly one of"},
		"no action":            {"timeline: [{at: 1s}]", "timeline[0]: want exactly one of"},
		"no time":              {"timeline: [{note: x}]", "timeline[0].at: is missing"},
		"time goes back":       {"timeline: [{at: 5s, note: x}, {at: 4s, note: z}]", "timeline[1].at: 4s is before the step above it (5s)"},
		"no such operator":     {"timeline: [{at: 1s, kill: operator-1}]", "timeline[0].kill: there is no operator-1"},
		"leader not paused":    {"timeline: [{at: 1s, kill: leader}, {at: 2s, resume: leader}]", "timeline[1].resume: no step above it has pause: leader"},
		"leader not killed":    {"timeline: [{at: 1s, pause: leader}, {at: 2s, start: leader}]", "timeline[1].start: no step above it has kill or stop: leader"},
		"refused what":         {"timeline: [{at: 1s, kill: sim, refused: because}]", "timeline[0].refused: goes with apply only"},
		"no such process":      {"timeline: [{at: 1s, pause: toaster}]", `timeline[0].pause: "toaster"`},
		"no such group":        {"timeline: [{at: 1s, reboot: {group: b}}]", `timeline[0].reboot: no machine`},
		"no such persona":      {"timeline: [{at: 1s, persona: {group: a, persona: tired}}]", `timeline[0].persona.persona: "tired"`},
		"no such budget":       {"baseWatts2: {}", `unknown field "baseWatts2"`},
		"budget without limit": {"timeline: [{at: 1s, dropLimit: {budget: hall, limitWatts: 1k}}]", `timeline[0].dropLimit.budget: no manifest makes a PowerBudget named "hall"`},
		"await of two":         {"timeline: [{at: 1s, await: {workload: a/b, leader: Elected}}]", "timeline[0].await: want exactly one"},
		"manifest kind":        {"timeline: [{at: 1s, apply: \"apiVersion: v1\\nmetadata: {name: x}\"}]", "timeline[0].apply: entry 0: document 1: kind is missing"},
		"manifest file":        {"timeline: [{at: 1s, apply: missing.yaml}]", "timeline[0].apply: reading a manifest"},
		"time placeholder":     {"timeline: [{at: 1s, apply: \"apiVersion: v1\\nkind: A\\nmetadata: {name: x}\\nstart: $(now+soon)\"}]", "timeline[0].apply: entry 0: $(now+soon) is not a time"},
		"duplicate key":        {"duration: 1s\nduration: 2s", `"duration" already set`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(small+c.add+"\n"), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q, got: %v", c.want, err)
			}
		})
	}
}

func TestReadTakesTheLeaderForAProcess(t *testing.T) {
	s := read(t, small+`
timeline:
- {at: 1s, pause: leader}
- {at: 2s, resume: leader}
- {at: 3s, stop: leader}
- {at: 4s, start: leader}
`)
	for i, want := range []string{"pause", "resume", "stop", "start"} {
		if step := s.Timeline[i]; step.Action() != want || step.Process() != Leader {
			t.Errorf("got %s %s", step.Action(), step.Process())
		}
	}
}

func TestReadChecksFleet(t *testing.T) {
	group := func(text string) string {
		return strings.Replace(small, "gpuNodes:", "  - {"+text+"}\ngpuNodes:", 1)
	}
	cases := map[string]struct{ text, want string }{
		"overlap":    {group("name: b, count: 2, model: S21, firmware: LuxOS, firstAddress: 127.10.0.3, budget: site"), "fleet.groups[1].firstAddress: 127.10.0.3 is also in group a"},
		"name twice": {group("name: a, count: 2, model: S21, firmware: LuxOS, firstAddress: 127.11.0.3, budget: site"), `fleet.groups[1].name: "a" is used twice`},
		"not loop":   {group("name: b, count: 2, model: S21, firmware: LuxOS, firstAddress: 10.0.0.3, budget: site"), "fleet.groups[1].firstAddress"},
		"reserved":   {group("name: b, count: 2, model: S21, firmware: LuxOS, firstAddress: 127.0.0.3, budget: site"), "fleet.groups[1].firstAddress"},
		"past end":   {group("name: b, count: 3, model: S21, firmware: LuxOS, firstAddress: 127.255.255.254, budget: site"), "fleet.groups[1].firstAddress"},
		"personas":   {group("name: b, count: 2, model: S21, firmware: LuxOS, firstAddress: 127.11.0.3, budget: site, personas: {deaf: 3}"), "fleet.groups[1].personas: 3 machines"},
		"budget":     {group("name: b, count: 2, model: S21, firmware: LuxOS, firstAddress: 127.11.0.3, budget: hall"), `fleet.groups[1].budget: no manifest makes a PowerBudget named "hall"`},
		"model":      {group("name: b, count: 2, model: Abacus, firmware: LuxOS, firstAddress: 127.11.0.3, budget: site"), "fleet: groups[1].model: unknown model"},
		"physics":    {group("name: b, count: 2, model: S21, firmware: LuxOS, firstAddress: 127.11.0.3, budget: site, physics: {bootSeconds: 0}"), "fleet: groups[1].physics.bootSeconds"},
		"whatsMiner": {group("name: b, count: 2, model: M60S, firmware: WhatsMinerV2, firstAddress: 127.11.0.3, budget: site, whatsMiner: {maxTokens: -1}"), "fleet: groups[1].whatsMiner.maxTokens"},
		"persona":    {small + "judge: {namedPersonas: [deaf, mute]}\n", "judge.namedPersonas[1]: \"mute\" is not one of"},
		"zero":       {group("name: b, count: 0, model: S21, firmware: LuxOS, firstAddress: 127.11.0.3, budget: site"), "fleet.groups[1].count"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(c.text), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q, got: %v", c.want, err)
			}
		})
	}
}

func TestFleetFileHandsOverWhatOnlySomeMachinesHave(t *testing.T) {
	s := read(t, strings.Replace(small, "gpuNodes:", `  - {name: b, count: 2, model: M60S, firmware: WhatsMinerV2, firstAddress: 127.11.0.1, budget: site, whatsMiner: {apiSwitch: true, fastBoot: true}}
  - {name: c, count: 2, model: S21, firmware: VNish, firmwareVersion: 1.3.4, firstAddress: 127.12.0.1, budget: site}
gpuNodes:`, 1))
	data, err := s.FleetFile()
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := minersim.ParseFleet(data)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{fleet.Groups[0].WhatsMiner, fleet.Groups[1].WhatsMiner, fleet.Groups[2].FirmwareVersion}
	want := []any{minersim.WhatsMiner{}, minersim.WhatsMiner{APISwitch: true, FastBoot: true}, "1.3.4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestManifestsTakeTextFilesAndObjects(t *testing.T) {
	dir := t.TempDir()
	file := "apiVersion: v1\nkind: Secret\nmetadata: {name: from-file}\n---\n# only words\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: second}\n"
	if err := os.WriteFile(filepath.Join(dir, "two.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Read([]byte(`
manifests:
- two.yaml
- {file: two.yaml}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: inline}, data: {at: $(now+20s)}}
- "{apiVersion: v1, kind: ConfigMap, metadata: {name: flow}}"
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := s.Manifests.Objects(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range objects {
		names = append(names, o.GetName())
	}
	if diff := cmp.Diff([]string{"from-file", "second", "from-file", "second", "inline", "flow"}, names); diff != "" {
		t.Error(diff)
	}
	if at := objects[4].Object["data"].(map[string]any)["at"]; at != "2026-01-02T03:04:26Z" {
		t.Errorf("want the time rounded up, got %v", at)
	}
}

func TestExpandTimes(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := map[string]string{
		"a $(now) b":             "a 2026-01-02T03:04:05Z b",
		"$(now+20s)/$(now + 1m)": "2026-01-02T03:04:25Z/2026-01-02T03:05:05Z",
		"$(now-5s)":              "2026-01-02T03:04:00Z",
		"$(now+500ms)":           "2026-01-02T03:04:06Z",
		"$(POD_IP) stays":        "$(POD_IP) stays",
	}
	for in, want := range cases {
		if got, err := ExpandTimes(in, now); err != nil || got != want {
			t.Errorf("%s: want %s, got %s, %v", in, want, got, err)
		}
	}
	for _, in := range []string{"$(now20s)", "$(now+x)"} {
		if _, err := ExpandTimes(in, now); err == nil {
			t.Errorf("%s: want an error", in)
		}
	}
}
