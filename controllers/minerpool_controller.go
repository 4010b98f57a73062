package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/link"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

const (
	// hashAnnotation remembers what a StatefulSet was made from, so that an unchanged one costs no write.
	hashAnnotation = "power.counterweight.dev/made-from"
	// recheck is how often a pool's Secret, which is not watched, is read.
	recheck = time.Minute
	// calm is the least time between two status writes of one object for watts that follow decisions.
	calm = time.Second
)

// MinerPoolReconciler keeps a pool's objects (StatefulSet, ConfigMap, TLS Secret) and its status. It
// gives no leases.
type MinerPoolReconciler struct {
	client.Client
	// Direct reads and writes Secrets and ConfigMaps, which are not watched.
	Direct    client.Client
	Clock     func() time.Time
	Events    recorder
	Image     string
	authority *authority
	board     *board
	wrote     map[types.NamespacedName]time.Time
	told      map[types.NamespacedName]map[trouble]bool
}

// poolSnapshot is everything one reconcile of a pool knows.
type poolSnapshot struct {
	pools       []powerv1.MinerPool
	budgets     map[string]*powerv1.PowerBudget
	credentials *corev1.Secret // nil where none is named or it does not exist
	barred      bool           // nobody gave this operator the rights of a mining namespace
	tls         corev1.Secret
	priors      corev1.ConfigMap
	set         appsv1.StatefulSet
	facts       poolFacts
	spans       []span
	fault       *fault
	shards      [][]string
	agents      []*corev1.Pod // of a pool that is being deleted: those that are there
}

// Reconcile brings one pool's objects and status up to date.
func (r *MinerPoolReconciler) Reconcile(ctx context.Context, p *powerv1.MinerPool) (reconcile.Result, error) {
	s, err := r.snapshot(ctx, p)
	if err != nil {
		return reconcile.Result{}, err
	}
	if p.DeletionTimestamp != nil {
		return r.release(ctx, p, s)
	}
	if changed, err := setFinalizer(ctx, r.Client, p, true); changed || err != nil {
		return requeued(err) // what follows wants the object as it is now
	}
	var failed error
	if s.fault == nil || len(s.shards) > 0 {
		failed = r.apply(ctx, p, s)
	}
	wait, err := r.report(ctx, p, s)
	if err = errors.Join(failed, err); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

func (r *MinerPoolReconciler) snapshot(ctx context.Context, p *powerv1.MinerPool) (*poolSnapshot, error) {
	s := &poolSnapshot{budgets: map[string]*powerv1.PowerBudget{}, facts: r.board.pool(client.ObjectKeyFromObject(p))}
	var pools powerv1.MinerPoolList
	var budgets powerv1.PowerBudgetList
	if err := errors.Join(
		wrap(r.List(ctx, &pools), "listing miner pools"),
		wrap(r.List(ctx, &budgets), "listing power budgets"),
		r.readOwn(ctx, p, s),
		r.readAgents(ctx, p, s),
		r.readCredentials(ctx, p, s),
	); err != nil {
		return nil, err
	}
	s.pools = pools.Items
	for i := range budgets.Items {
		s.budgets[budgets.Items[i].Name] = &budgets.Items[i]
	}
	s.spans, s.fault = poolFault(p, s)
	if s.fault == nil || s.fault.reason == powerv1.ReasonRatedTooSmall {
		s.shards = shards(s.spans, int(powerv1.OrZero(p.Spec.DevicesPerAgent, powerv1.DefaultDevicesPerAgent)))
	}
	return s, nil
}

func wrap(err error, doing string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// readOwn reads the objects that the pool owns.
func (r *MinerPoolReconciler) readOwn(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot) error {
	for _, o := range []struct {
		from client.Reader
		name string
		into client.Object
	}{{r.Direct, tlsName(p), &s.tls}, {r.Direct, priorsName(p), &s.priors}, {r.Client, p.Name, &s.set}} {
		err := o.from.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: o.name}, o.into)
		if apierrors.IsForbidden(err) {
			s.barred = true
			continue
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading %T %s/%s: %w", o.into, p.Namespace, o.name, err)
		}
	}
	return nil
}

// readAgents reads which agents a pool that is being deleted has left. All pods of its namespace are looked at: labels
// may be changed, and prove nothing.
func (r *MinerPoolReconciler) readAgents(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot) error {
	if p.DeletionTimestamp == nil {
		return nil
	}
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.InNamespace(p.Namespace), client.UnsafeDisableDeepCopyOption(true)); err != nil {
		return fmt.Errorf("listing agent pods: %w", err)
	}
	sets, err := ownersIn(ctx, r.Client, p.Namespace)
	s.agents = agentsOf(p, pods.Items, sets, s.facts.pods)
	return err
}

// readCredentials reads the Secret that the spec names; what it lacks is judged later.
func (r *MinerPoolReconciler) readCredentials(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot) error {
	name := p.Spec.Devices.CredentialsSecret
	if name == "" {
		return nil
	}
	var secret corev1.Secret
	err := r.Direct.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: name}, &secret)
	if apierrors.IsForbidden(err) {
		s.barred = true
		return nil
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading Secret %s/%s: %w", p.Namespace, name, err)
	}
	if err == nil {
		s.credentials = &secret
	}
	return nil
}

// poolFault is the first spec error of a pool; nil where there is none.
func poolFault(p *powerv1.MinerPool, s *poolSnapshot) ([]span, *fault) {
	if s.barred {
		return nil, &fault{powerv1.ReasonNamespaceNotGranted, fmt.Sprintf(
			"the operator has no rights to Secrets in namespace %s; list the namespace in the Helm chart's values (mining), or apply config/mining to it", p.Namespace)}
	}
	spans, err := parseSpans(p.Spec.Devices.Addresses)
	if err != nil {
		reason := powerv1.ReasonRangeReversed
		if e, ok := err.(*addressError); ok { //nolint:errorlint // parseSpans wraps nothing
			reason = e.reason
		}
		return nil, &fault{reason, err.Error()}
	}
	if other := overlapsOther(s.pools, p); other != "" {
		return nil, &fault{powerv1.ReasonAddressesOverlap, fmt.Sprintf(
			"spec.devices.addresses overlap with those of MinerPool %s, which is older and keeps them; remove the shared addresses from one of the two", other)}
	}
	if s.budgets[p.Spec.Budget] == nil {
		return nil, &fault{powerv1.ReasonBudgetNotFound, fmt.Sprintf(
			"spec.budget %q does not exist; create that PowerBudget, or delete this pool and create it under another", p.Spec.Budget)}
	}
	if f := credentialsFault(p, s.credentials); f != nil {
		return nil, f
	}
	if rated := p.Spec.RatedWatts.Value(); int64(s.facts.rated) > rated {
		return spans, &fault{powerv1.ReasonRatedTooSmall, fmt.Sprintf(
			"spec.ratedWatts is %v, and the devices found can draw %v; raise ratedWatts to at least that", wattsText(rated), s.facts.rated)}
	}
	return spans, nil
}

func credentialsFault(p *powerv1.MinerPool, secret *corev1.Secret) *fault {
	name := p.Spec.Devices.CredentialsSecret
	if name == "" {
		return nil
	}
	if secret == nil {
		return &fault{powerv1.ReasonCredentialsMissing, fmt.Sprintf(
			"spec.devices.credentialsSecret: Secret %q does not exist in namespace %s; create it with the keys username and password", name, p.Namespace)}
	}
	if key := missingCredential(secret.Data); key != "" {
		return &fault{powerv1.ReasonCredentialsMalformed, fmt.Sprintf(
			"spec.devices.credentialsSecret: Secret %q has no key %q; add it", name, key)}
	}
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		if !credentialsKey(key) {
			return &fault{powerv1.ReasonCredentialsMalformed, fmt.Sprintf(
				"spec.devices.credentialsSecret: Secret %q has a key %q; keys are username, password, FIRMWARE.username and FIRMWARE.password", name, key)}
		}
		if _, err := miner.ParseCredential(secret.Data[key]); err != nil {
			return &fault{powerv1.ReasonCredentialsMalformed, fmt.Sprintf(
				"spec.devices.credentialsSecret: key %q of Secret %q %v; correct it", key, name, err)}
		}
	}
	return nil
}

// missingCredential is a common key that a Secret lacks. One that holds nothing but logins of single firmwares
// needs none: the others are let in with their factory's.
func missingCredential(data map[string][]byte) string {
	_, user := data["username"]
	_, password := data["password"]
	switch {
	case !user && !password && len(data) > 0:
		return ""
	case !user:
		return "username"
	case !password:
		return "password"
	}
	return ""
}

// credentialsKey tells whether a Secret may hold a key: a plain one, or one of a firmware.
func credentialsKey(key string) bool {
	firmware, field, dotted := strings.Cut(key, ".")
	if !dotted {
		field = key
	}
	known := !dotted || slices.Contains(powerv1.Firmwares(), powerv1.Firmware(firmware))
	return known && (field == "username" || field == "password")
}

// apply writes the objects that differ from what they should be.
func (r *MinerPoolReconciler) apply(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot) error {
	ca, err := r.authority.load(ctx)
	if err != nil {
		return err
	}
	secret, err := tlsSecret(p, ca, &s.tls, r.Clock())
	if err != nil {
		return err
	}
	if secret != nil {
		if err := r.write(ctx, r.Direct, p, secret, &s.tls); err != nil {
			return err
		}
		s.tls.Data = secret.Data
	}
	if ends, err := link.NotAfter(s.tls.Data[corev1.TLSCertKey]); err == nil {
		exported.certs.set("agents", client.ObjectKeyFromObject(p).String(), ends)
	}
	if err := r.remember(ctx, p, s); err != nil {
		return err
	}
	set := statefulSet(p, s.replicas(p), r.Image)
	hash, err := hashOf(set.Spec)
	if err != nil {
		return err
	}
	set.Annotations = map[string]string{hashAnnotation: hash}
	if s.set.Annotations[hashAnnotation] == hash {
		return nil
	}
	return r.write(ctx, r.Client, p, set, &s.set)
}

// remember writes down what each device ran before it slept.
func (r *MinerPoolReconciler) remember(ctx context.Context, p *powerv1.MinerPool, s *poolSnapshot) error {
	if !s.facts.known {
		return nil
	}
	priors, err := priorsMap(p, s.facts.priors)
	if err != nil || equality.Semantic.DeepEqual(priors.Data, s.priors.Data) {
		return err
	}
	return r.write(ctx, r.Direct, p, priors, &s.priors)
}

// write creates an object owned by the pool, or brings the one there up to it.
func (r *MinerPoolReconciler) write(ctx context.Context, c client.Client, p *powerv1.MinerPool, want, have client.Object) error {
	if err := controllerutil.SetControllerReference(p, want, r.Scheme()); err != nil {
		return fmt.Errorf("owning %T %s: %w", want, want.GetName(), err)
	}
	if have.GetUID() == "" {
		if err := c.Create(ctx, want); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making %T %s: %w", want, want.GetName(), err)
		}
		return nil
	}
	want.SetResourceVersion(have.GetResourceVersion())
	if err := c.Update(ctx, want); err != nil {
		return ignoreRace(err, "updating %T %s", want, want.GetName())
	}
	return nil
}

func hashOf(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("hashing %T: %w", v, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8]), nil
}

// soon is when to look again after an object changed under a reconcile.
const soon = 50 * time.Millisecond

func requeued(err error) (reconcile.Result, error) {
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: soon}, nil
}

// SetupWithManager watches pools, what they own, and what the site's decision tells of them.
func (r *MinerPoolReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.wrote, r.told = map[types.NamespacedName]time.Time{}, map[types.NamespacedName]map[trouble]bool{}
	everyPool := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		return requestsFor(ctx, mgr.GetClient(), &powerv1.MinerPoolList{})
	})
	err := ctrl.NewControllerManagedBy(mgr).
		For(&powerv1.MinerPool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.StatefulSet{}).
		Watches(&powerv1.PowerBudget{}, everyPool, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&powerv1.MinerPool{}, everyPool, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(r.board.poolEvents, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{EnableWarmup: new(true), ReconciliationTimeout: 4 * actTimeout}).
		Complete(reconcile.AsReconciler(r.Client, r))
	if err != nil {
		return fmt.Errorf("setting up the MinerPool controller: %w", err)
	}
	return nil
}
