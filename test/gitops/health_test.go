package gitops

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

type verdict struct{ status, message string }

// healthIn runs a kind's health check on an object, with as little of Lua as Argo CD lends it: no strings, no files.
func healthIn(t *testing.T, object *unstructured.Unstructured) verdict {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	state.SetContext(t.Context())
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		must(t, state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)))
	}
	state.SetGlobal("obj", inLua(state, object.Object))
	must(t, state.DoString(string(read(t, "docs", "gitops", "health", object.GetKind()+".lua"))))
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the health check answers %v", state.Get(-1))
	}
	return verdict{status: lua.LVAsString(answer.RawGetString("status")), message: lua.LVAsString(answer.RawGetString("message"))}
}

// inLua is a value out of JSON in Lua.
func inLua(state *lua.LState, value any) lua.LValue {
	switch is := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, field := range is {
			table.RawSetString(key, inLua(state, field))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range is {
			table.Append(inLua(state, item))
		}
		return table
	case string:
		return lua.LString(is)
	case bool:
		return lua.LBool(is)
	case int64:
		return lua.LNumber(is)
	case float64:
		return lua.LNumber(is)
	}
	return lua.LNil
}

// A health check answers for whatever it is shown: an error in it is "Unknown" in Argo CD, and holds a sync.
func TestHealthOfWhatIsHalfThere(t *testing.T) {
	for kind := range lifecycle {
		for name, text := range map[string]string{
			"no status":     `metadata: {generation: 1}`,
			"no conditions": `{metadata: {generation: 1}, status: {observedGeneration: 1}}`,
			"no ready":      `{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Other, status: "True"}]}}`,
			"deleted": `{metadata: {generation: 1, deletionTimestamp: "2031-07-01T16:30:00Z"}, status: {observedGeneration: 1,
				conditions: [{type: Ready, status: "True", message: as if nothing were}]}}`,
			"no generation": `{metadata: {}, status: {observedGeneration: 1}}`,
		} {
			object := &unstructured.Unstructured{}
			must(t, yaml.Unmarshal([]byte(text), &object.Object))
			object.SetKind(kind)
			if got := healthIn(t, object); got.status != "Progressing" || got.message == "" {
				t.Errorf("%s, %s: got %v", kind, name, got)
			}
		}
	}
}

// What argocd-cm.yaml brings to Argo CD are these same checks.
func TestTheConfigMapHasTheHealthChecks(t *testing.T) {
	object := objectsIn(t, read(t, "docs", "gitops", "argocd-cm.yaml"))[0]
	data, _, err := unstructured.NestedStringMap(object.Object, "data")
	must(t, err)
	for kind := range lifecycle {
		key := "resource.customizations.health.power.counterweight.dev_" + kind
		if got, want := data[key], string(read(t, "docs", "gitops", "health", kind+".lua")); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s is not docs/gitops/health/%s.lua", key, kind)
		}
		delete(data, key)
	}
	for key := range data {
		t.Errorf("%s: of no kind", key)
	}
}
