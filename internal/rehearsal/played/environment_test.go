package played

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fixed answers with what it holds.
type fixed map[string]map[string][]byte

func (f fixed) secret(name string) (map[string][]byte, error) {
	if v, ok := f["secret/"+name]; ok {
		return v, nil
	}
	return nil, errors.New("no secret " + name)
}

func (f fixed) configMap(name string) (map[string][]byte, error) {
	if v, ok := f["configMap/"+name]; ok {
		return v, nil
	}
	return nil, errors.New("no config map " + name)
}

func from(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

func TestEnvironmentIsWhatAKubeletMakesOfIt(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p-0", Namespace: "ns", UID: "u-1", Labels: map[string]string{"a/b": "label"}},
		Spec:       corev1.PodSpec{NodeName: "n1"},
	}
	c := &corev1.Container{
		EnvFrom: []corev1.EnvFromSource{{Prefix: "X_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}},
		Env: []corev1.EnvVar{
			{Name: "IP", ValueFrom: from("status.podIP")},
			{Name: "UID", ValueFrom: from("metadata.uid")},
			{Name: "LABEL", ValueFrom: from("metadata.labels['a/b']")},
			{Name: "LISTEN", Value: "$(IP):7443"},
			{Name: "HTTP", Value: ":8082"},
			{Name: "ANY", Value: "0.0.0.0:9000"},
			{Name: "TLS", Value: "/etc/tls"},
			{Name: "CERT", Value: "/etc/tls/tls.crt,/etc/tlsx/y,/etc/tls,/opt/etc/tls"},
			{Name: "LITERAL", Value: "$$(IP) $(NOBODY)"},
			{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}}},
			{Name: "MAYBE", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Key: "k", Optional: new(true)}}},
			{Name: "GOMEMLIMIT", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}}},
		},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}},
		Command:   []string{"/agent", "run"},
		Args:      []string{"--http=:1", "--pool", "ns/$(X_pool)", "--file=/etc/tls/ca.crt"},
	}
	at := place{podIP: "127.0.10.7", hostIP: "127.0.10.1", mounts: map[string]string{"/etc/tls": "/d/tls", "/etc": "/d/etc"}}
	data := fixed{"configMap/cm": {"pool": []byte("hall")}, "secret/s": {"k": []byte("v")}}
	env, err := environment(pod, c, at, data)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"X_pool=hall", "IP=127.0.10.7", "UID=u-1", "LABEL=label", "LISTEN=127.0.10.7:7443", "HTTP=127.0.10.7:8082",
		"ANY=127.0.10.7:9000", "TLS=/d/tls", "CERT=/d/tls/tls.crt,/d/etc/tlsx/y,/d/tls,/opt/etc/tls", "LITERAL=$(IP) $(NOBODY)", "KEY=v",
		"GOMEMLIMIT=67108864",
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Error(diff)
	}
	program, args := arguments(c, env, at)
	if diff := cmp.Diff([]string{"/agent", "run", "--http=127.0.10.7:1", "--pool", "ns/hall", "--file=/d/tls/ca.crt"}, append([]string{program}, args...)); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentFailsWhereAKubeletWaits(t *testing.T) {
	key := corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "missing"}
	cases := map[string]*corev1.EnvVarSource{
		"no such key":    {SecretKeyRef: &key},
		"no such object": {ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Key: "k"}},
		"no such field":  from("status.qosClass"),
	}
	for name, source := range cases {
		c := &corev1.Container{Env: []corev1.EnvVar{{Name: "A", ValueFrom: source}}}
		if _, err := environment(&corev1.Pod{}, c, place{}, fixed{"secret/s": {"k": nil}}); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
