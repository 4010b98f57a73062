package controllers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// Which pods are agents: the ledger, the release of a pool and that of a pod all go by this one rule.

// setOwners is the StatefulSets that are there, each with the MinerPool that owns it; empty where none does.
type setOwners map[types.UID]types.UID

func ownersOf(sets []appsv1.StatefulSet) setOwners {
	out := make(setOwners, len(sets))
	for i := range sets {
		out[sets[i].UID] = ""
		if ref := metav1.GetControllerOf(&sets[i]); ref != nil && ref.Kind == "MinerPool" {
			out[sets[i].UID] = ref.UID
		}
	}
	return out
}

// ownersIn reads them of one namespace.
func ownersIn(ctx context.Context, c client.Reader, namespace string) (setOwners, error) {
	var sets appsv1.StatefulSetList
	if err := c.List(ctx, &sets, client.InNamespace(namespace), client.UnsafeDisableDeepCopyOption(true)); err != nil {
		return nil, fmt.Errorf("listing stateful sets: %w", err)
	}
	return ownersOf(sets.Items), nil
}

// isAgent tells whether a pod is one of the pool's agents. Labels alone prove nothing: anybody may set them on a pod
// of their own. The StatefulSet that made it tells. Where that is gone, what it made lives on for a while, or, deleted
// with --cascade=orphan, for good and with no owner: there the finalizer that its template sets tells, since an agent
// taken for nobody would command with its successor (L9). Whoever may make pods in the pool's namespace can make one that
// looks like it, and gains nothing: it is told nothing unless it proves by its certificate to be the pool's agent, and
// all that its slot can't have meanwhile stays with the agents that have it.
func isAgent(pod *corev1.Pod, pool *powerv1.MinerPool, sets setOwners) bool {
	if _, numbered := slotIn(pod, pool.Name); !numbered || pod.Namespace != pool.Namespace {
		return false
	}
	ref := metav1.GetControllerOf(pod)
	if ref != nil {
		if ref.Kind != "StatefulSet" {
			return false
		}
		if owner, there := sets[ref.UID]; there {
			return owner == pool.UID
		}
	}
	return (ref == nil || ref.Name == pool.Name) && hasFinalizer(pod) && pod.Labels[componentLabel] == agentComponent
}

// slotIn is the slot of a pool that a pod has by its name, which is that of the pool's StatefulSet and a number.
func slotIn(pod *corev1.Pod, pool string) (int, bool) {
	if len(pod.Name) <= len(pool) || pod.Name[len(pool)] != '-' || !strings.HasPrefix(pod.Name, pool) {
		return 0, false // most pods, at no cost
	}
	number := pod.Name[len(pool)+1:]
	n, err := strconv.Atoi(number)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == number
}

// poolNamed is the pool of which a pod has a slot by its name, if any has that name; unlike its label, nobody can
// change that.
func poolNamed(pod *corev1.Pod) string {
	return pod.Name[:max(0, strings.LastIndexByte(pod.Name, '-'))]
}

// agentsOf is the pods that are a pool's agents: by the rule, or since this leader met them as such, whatever has become
// of their owner and their labels since.
func agentsOf(pool *powerv1.MinerPool, pods []corev1.Pod, sets setOwners, met []types.UID) (out []*corev1.Pod) {
	for i := range pods {
		if pod := &pods[i]; slices.Contains(met, pod.UID) || isAgent(pod, pool, sets) {
			out = append(out, pod)
		}
	}
	return out
}
