package docs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// samples are applied before the site: its objects are in their namespaces.
var samples = []string{
	"config/samples/namespaces.yaml", "config/samples/small-site.yaml", "config/samples/two-halls.yaml",
	"config/samples/gpuworkload.yaml", "config/samples/gpu-automatic.yaml", "config/samples/curtailmentevent.yaml",
	"test/docs/testdata/site.yaml",
}

// fill makes the objects of which the papers speak, in the state in which a page says that they are.
func fill(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	known := runtime.NewScheme()
	must(t, errors.Join(clientgoscheme.AddToScheme(known), powerv1.AddToScheme(known)))
	api, err := client.New(config, client.Options{Scheme: known})
	must(t, err)
	for _, name := range samples {
		for _, object := range decoded(t, text(t, name)) {
			must(t, api.Create(t.Context(), object, client.FieldValidation("Strict")))
		}
	}
	must(t, api.Create(t.Context(), certificate(t)))
	// A pod of nobody's, for sentences that name no namespace.
	lonely := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}}
	lonely.Spec.Containers = []corev1.Container{{Name: "one", Image: "one"}}
	must(t, api.Create(t.Context(), lonely))

	pool := &powerv1.MinerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "mining", Name: "asics"}}
	sets(t, api, pool, &pool.Status.Conditions,
		condition(powerv1.ConditionReachable, metav1.ConditionFalse, powerv1.ReasonAgentsUnheard, "asics-1 does not report"),
		condition(powerv1.ConditionStalled, metav1.ConditionTrue, powerv1.ReasonCredentialsMissing, "there is no Secret asics"))
	budget := &powerv1.PowerBudget{ObjectMeta: metav1.ObjectMeta{Name: "hall-1"}}
	sets(t, api, budget, &budget.Status.Conditions,
		condition(powerv1.ConditionWithinLimit, metav1.ConditionFalse, powerv1.ReasonOverLimit, "over its limit"))
	event := &powerv1.CurtailmentEvent{ObjectMeta: metav1.ObjectMeta{Name: "dr-evening"}}
	sets(t, api, event, &event.Status.Conditions, condition(powerv1.ConditionMet, metav1.ConditionFalse, powerv1.ReasonMissed,
		"the draw was over the event's limit 2.5 MW at 2026-11-20T17:00:04Z"))
	return api
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Now()}
}

// sets writes the conditions of an object that is there.
func sets(t *testing.T, api client.Client, object client.Object, conditions *[]metav1.Condition, want ...metav1.Condition) {
	t.Helper()
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(object), object))
	*conditions = want
	must(t, api.Status().Update(t.Context(), object))
}

func decoded(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var found []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return found
		}
		must(t, err)
		if len(object.Object) > 0 {
			found = append(found, object)
		}
	}
}

// certificate is the agents' Secret of pool asics, whose certificate ends when the page says.
func certificate(t *testing.T) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	must(t, err)
	var text bytes.Buffer
	must(t, pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "mining", Name: "asics-agent-tls"},
		Data:       map[string][]byte{corev1.TLSCertKey: text.Bytes()},
	}
}

// clean keeps the variables of whoever runs the tests out of what is typed.
func clean(c cluster) []string {
	return []string{"KUBECONFIG=" + c.kubeconfig, "HOME=" + c.home, "PATH=" + c.path + ":" + os.Getenv("PATH"), "TZ=UTC"}
}
