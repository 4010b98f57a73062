package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/internal/testenv"
)

const namespace = "counterweight-system"

var (
	config  *rest.Config
	granted sync.Once
)

func TestMain(m *testing.M) {
	os.Exit(testenv.Run(m, func(cfg *rest.Config) { config = cfg }))
}

// as is the API server for a ServiceAccount of the operator's namespace.
func as(name string) *rest.Config {
	cfg := rest.CopyConfig(config)
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return cfg
}

func admin(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// grant applies config/rbac, as it is installed.
func grant(ctx context.Context, t *testing.T) {
	t.Helper()
	c := admin(t)
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}}
	for _, file := range []string{"operator_role.yaml", "leader_election_role.yaml", "authority_role.yaml", "user_roles.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, decoded(t, text)...)
	}
	for _, o := range objects {
		if err := c.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
}

// decoded reads the objects of a manifest.
func decoded(t *testing.T, text []byte) []client.Object {
	t.Helper()
	var objects []client.Object
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		object, _, err := clientgoscheme.Codecs.UniversalDeserializer().Decode(raw.Raw, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object.(client.Object))
	}
}

// lacksNow is what an account lacks once the API server has taken in what it was just granted.
func lacksNow(t *testing.T, account string, settled func(error) bool) error {
	t.Helper()
	var err error
	_ = wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		err = checkRights(ctx, as(account), namespace)
		return settled(err), nil
	})
	return err // the last one, where it never settled
}

func TestMissingRightsAreNamedAtOnce(t *testing.T) {
	granted.Do(func() { grant(t.Context(), t) })
	if err := lacksNow(t, "counterweight-operator", func(err error) bool { return err == nil }); err != nil {
		t.Errorf("with config/rbac: %v", err)
	}

	err := checkRights(t.Context(), as("nobody"), namespace)
	if err == nil {
		t.Fatal("a ServiceAccount without rights passes")
	}
	for _, want := range []string{
		"may not get, create, update leases.coordination.k8s.io in namespace counterweight-system;",
		"get leases.coordination.k8s.io in namespace kube-node-lease;",
		"may not get, list, watch, patch pods;", "create pods/eviction;", "list, watch nodes;",
		"open gates.power.counterweight.dev;", "update curtailmentevents.power.counterweight.dev/status;",
		"watch, patch powerbudgets.power.counterweight.dev;", "may not get secrets counterweight-ca in namespace counterweight-system;", "create secrets in namespace counterweight-system;",
		"config/rbac", "chart",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
}

// One verb that is missing is named alone.
func TestOneMissingVerbIsNamed(t *testing.T) {
	granted.Do(func() { grant(t.Context(), t) })
	ctx, c := t.Context(), admin(t)
	var role rbacv1.ClusterRole
	if err := c.Get(ctx, client.ObjectKey{Name: "counterweight-operator"}, &role); err != nil {
		t.Fatal(err)
	}
	role.ObjectMeta = metav1.ObjectMeta{Name: "less"}
	for i := range role.Rules {
		if role.Rules[i].Resources[0] == "gates" {
			role.Rules[i].Verbs = []string{"close"}
		}
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "less"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "less"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "less"}},
	}
	own := func(name string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "less-" + name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "counterweight-" + name},
			Subjects:   binding.Subjects,
		}
	}
	for _, o := range []client.Object{&role, binding, own("leader-election"), own("authority")} {
		if err := c.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	const want = "its ServiceAccount lacks rights: may not open gates.power.counterweight.dev; bind it"
	settled := func(err error) bool { return err != nil && strings.HasPrefix(err.Error(), want) }
	if err := lacksNow(t, "less", settled); !settled(err) {
		t.Errorf("got %v, want %s...", err, want)
	}
}

// Whoever may not even ask is not refused for that.
func TestAskingIsNoRightItNeeds(t *testing.T) {
	cfg := rest.CopyConfig(config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "stranger", Groups: []string{"system:unauthenticated"}}
	if err := checkRights(t.Context(), cfg, namespace); err != nil {
		t.Error(err)
	}
}
