package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/controllers"
)

// right is verbs on one resource, RESOURCE or RESOURCE/SUBRESOURCE, that the operator can't do without.
type right struct {
	group, resource string
	namespace       string // empty is everywhere
	verbs           []string
	name            string // of one object; empty is all
}

// rights is what of config/rbac the operator can't do without. Events and the permission of owner
// references are left out: without them it works, if less well. So are the rights of mining namespaces
// (config/mining): a MinerPool in a namespace without them says so itself, and the others go on.
func rights(namespace string) []right {
	all := []right{
		{group: "coordination.k8s.io", resource: "leases", namespace: namespace, verbs: []string{"get", "create", "update"}},
		{group: "coordination.k8s.io", resource: "leases", namespace: corev1.NamespaceNodeLease, verbs: []string{"get"}},
		{resource: "pods", verbs: []string{"get", "list", "watch", "patch"}},
		{resource: "pods/eviction", verbs: []string{"create"}},
		{resource: "nodes", verbs: []string{"get", "list", "watch"}},
		{resource: "secrets", namespace: namespace, name: controllers.AuthoritySecret, verbs: []string{"get"}},
		{resource: "secrets", namespace: namespace, verbs: []string{"create"}},
		{group: "apps", resource: "statefulsets", verbs: []string{"get", "list", "watch"}},
		{group: "apps", resource: "replicasets", verbs: []string{"get", "list", "watch"}},
		{group: "batch", resource: "jobs", verbs: []string{"get", "list", "watch"}},
		{group: powerv1.GroupVersion.Group, resource: "gates", verbs: []string{"open"}},
		{group: powerv1.GroupVersion.Group, resource: "gpuworkloads", verbs: []string{"create"}},
	}
	for _, kind := range []string{"powerbudgets", "minerpools", "gpuworkloads", "curtailmentevents"} {
		all = append(all,
			right{group: powerv1.GroupVersion.Group, resource: kind, verbs: []string{"get", "list", "watch", "patch"}},
			right{group: powerv1.GroupVersion.Group, resource: kind + "/status", verbs: []string{"update"}})
	}
	return all
}

// asking bounds the questions in flight.
const asking = 8

// checkRights names every right that is missing, so that a person mends them at once and not one by one
// from errors of watches. It needs no right itself: whoever is authenticated may ask about itself. Where a
// cluster forbids even that, nothing is known and nothing refused.
func checkRights(ctx context.Context, cfg *rest.Config, namespace string) error {
	client, err := authorizationclient.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("asking what the operator may do: %w", err)
	}
	wanted := rights(namespace)
	missing := make([]string, len(wanted))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asking)
	for i, r := range wanted {
		g.Go(func() error {
			lacks, err := r.lacking(ctx, client)
			missing[i] = lacks
			return err
		})
	}
	if err := g.Wait(); apierrors.IsForbidden(err) {
		ctrl.Log.Info("The API server does not tell what this operator may do; going on", "reason", err.Error())
		return nil
	} else if err != nil {
		return fmt.Errorf("asking what the operator may do: %w", err)
	}
	return lackingError(missing)
}

func lackingError(missing []string) error {
	var lines []string
	for _, line := range missing {
		if line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("its ServiceAccount lacks rights: may not %s; "+
		"bind it to the roles of config/rbac (make deploy, or kubectl apply -k config/rbac), which the Helm chart brings too (templates/rbac.yaml)",
		strings.Join(lines, "; may not "))
}

// lacking says which verbs are refused; empty where none is.
func (r right) lacking(ctx context.Context, client authorizationclient.SelfSubjectAccessReviewsGetter) (string, error) {
	resource, sub, _ := strings.Cut(r.resource, "/")
	var refused []string
	for _, verb := range r.verbs {
		review, err := client.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: r.namespace, Verb: verb, Group: r.group, Resource: resource, Subresource: sub, Name: r.name,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return "", err //nolint:wrapcheck // the caller says what was asked
		}
		if !review.Status.Allowed {
			refused = append(refused, verb)
		}
	}
	if len(refused) == 0 {
		return "", nil
	}
	return strings.Join(refused, ", ") + " " + r.String(), nil
}

// String names the resource as kubectl does.
func (r right) String() string {
	resource, sub, _ := strings.Cut(r.resource, "/")
	name := resource
	if r.group != "" {
		name += "." + r.group
	}
	if sub != "" {
		name += "/" + sub
	}
	if r.name != "" {
		name += " " + r.name
	}
	if r.namespace != "" {
		name += " in namespace " + r.namespace
	}
	return name
}
