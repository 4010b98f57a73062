package testenv

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

func TestMissingControlPlaneSaysWhatToDo(t *testing.T) {
	t.Setenv(assetsEnv, t.TempDir())
	_, err := assetsIn("/nowhere")
	if err == nil || !strings.Contains(err.Error(), "run make controlplane") {
		t.Errorf("want an error that says to run make controlplane, got %v", err)
	}
}

func TestAssetsAreInBinUnlessTheEnvironmentSaysElse(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "bin", "k8s")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range binaries {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(assetsEnv, "")
	if got, err := assetsIn(root); err != nil || got != dir {
		t.Errorf("assets: got %q, %v, want %q", got, err, dir)
	}
	t.Setenv(assetsEnv, t.TempDir())
	if got, err := assetsIn(root); err == nil {
		t.Errorf("assets: got %q in spite of %s naming an empty directory", got, assetsEnv)
	}
}

func TestStartInstallsTheCRDs(t *testing.T) {
	config, stop := Start(t)
	defer stop()

	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	reader, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	var crds apiextensionsv1.CustomResourceDefinitionList
	if err := reader.List(t.Context(), &crds); err != nil {
		t.Fatal(err)
	}
	if len(crds.Items) != 4 {
		t.Errorf("got %d CRDs, want the 4 of config/crd/bases", len(crds.Items))
	}
	stop()
	stop()
}

// An API server on a loaded machine is healthy long before it has written its default namespace.
func TestALateDefaultNamespaceIsWaitedFor(t *testing.T) {
	const before = 120 // envtest asks 20 times a second and gives up after five seconds
	var asked atomic.Int64
	answers := map[string]string{
		"/api":    `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis":   `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`,
		"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"namespaces","kind":"Namespace","namespaced":false,"verbs":["get"]}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, known := answers[r.URL.Path]
		if r.URL.Path == "/api/v1/namespaces/default" && asked.Add(1) > before {
			answer, known = `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"default"}}`, true
		}
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	environment := &envtest.Environment{UseExistingCluster: new(true), Config: &rest.Config{Host: server.URL, QPS: -1}}
	if _, err := patiently(environment); err != nil {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
}
