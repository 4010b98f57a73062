package gitops

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

var (
	config *rest.Config
	api    client.Client
	root   string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gitops-test-")
	utilruntime.Must(err)
	policy := filepath.Join(dir, "audit.yaml")
	utilruntime.Must(os.WriteFile(policy, []byte(auditPolicy), 0o600))
	auditLog = filepath.Join(dir, "audit.log")
	code := testenv.Run(m, func(cfg *rest.Config) {
		config = cfg
		root, err = testenv.Root()
		utilruntime.Must(err)
		api, err = client.New(cfg, client.Options{Scheme: scheme()})
		utilruntime.Must(err)
	}, func(e *envtest.Environment) {
		e.ControlPlane.GetAPIServer().Configure().Append("audit-policy-file", policy).Append("audit-log-path", auditLog)
	})
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func scheme() *runtime.Scheme {
	known := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(known))
	utilruntime.Must(powerv1.AddToScheme(known))
	return known
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// objectsIn are the objects of a text in YAML.
func objectsIn(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	documents := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		must(t, err)
		object := &unstructured.Unstructured{}
		inJSON, err := yaml.YAMLToJSON(document)
		must(t, err)
		must(t, utiljson.Unmarshal(inJSON, &object.Object)) // with whole numbers, as from the API server
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	must(t, err)
	return text
}

// namespace is there afterwards.
func namespace(t *testing.T, name string) {
	t.Helper()
	err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if !apierrors.IsAlreadyExists(err) {
		must(t, err)
	}
}
