package played

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// NodeSpec is a node to play.
type NodeSpec struct {
	Name   string
	Labels map[string]string
	// Resources on top of CPU, memory and pods.
	Resources map[string]int64
	// Kwok leaves the node's conditions and heartbeats to kwok.
	Kwok bool
}

// MiningLabel marks the nodes that are there for agents.
const MiningLabel = "power.counterweight.dev/mining"

// Nodes keeps nodes alive.
type Nodes struct {
	client    kubernetes.Interface
	addresses *Addresses
	log       logr.Logger

	mu    sync.Mutex
	ips   map[string]string
	alive map[string]bool // beaten by Run; kwok's are not
}

// NewNodes makes an empty set.
func NewNodes(client kubernetes.Interface, addresses *Addresses, log logr.Logger) *Nodes {
	return &Nodes{client: client, addresses: addresses, log: log, ips: map[string]string{}, alive: map[string]bool{}}
}

const (
	leaseNamespace = "kube-node-lease"
	beatEvery      = 10 * time.Second
	// statusEvery is how often a node's conditions are told again where nothing changed.
	statusEvery = 5 * time.Minute
	// LeaseSeconds of a node's heartbeat.
	LeaseSeconds = 40
)

// Create registers nodes.
func (n *Nodes) Create(ctx context.Context, specs []NodeSpec) error {
	for _, spec := range specs {
		ip, err := n.addresses.Take()
		if err != nil {
			return err
		}
		n.mu.Lock()
		n.ips[spec.Name] = ip.String()
		n.mu.Unlock()
		if _, err := n.client.CoreV1().Nodes().Create(ctx, spec.node(ip.String()), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating node %s: %w", spec.Name, err)
		}
		if spec.Kwok {
			continue
		}
		if err := n.beat(ctx, spec.Name); err != nil {
			return fmt.Errorf("making the heartbeat of node %s: %w", spec.Name, err)
		}
		n.mu.Lock()
		n.alive[spec.Name] = true
		n.mu.Unlock()
	}
	return nil
}

func (spec NodeSpec) node(ip string) *corev1.Node {
	has := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("192"), corev1.ResourceMemory: resource.MustParse("2Ti"), corev1.ResourcePods: resource.MustParse("250"),
	}
	for name, count := range spec.Resources {
		has[corev1.ResourceName(name)] = *resource.NewQuantity(count, resource.DecimalSI)
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: spec.Name, Labels: map[string]string{
			"kubernetes.io/hostname": spec.Name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		}},
		Status: corev1.NodeStatus{
			Capacity: has, Allocatable: has,
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeHostName, Address: spec.Name}},
		},
	}
	maps.Copy(node.Labels, spec.Labels)
	if spec.Kwok {
		node.Labels["type"] = "kwok"
		return node
	}
	node.Status.Conditions = healthy(metav1.Now())
	return node
}

// healthy is what a kubelet says of a node that lacks nothing.
func healthy(now metav1.Time) []corev1.NodeCondition {
	var all []corev1.NodeCondition
	for _, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady} {
		one := corev1.NodeCondition{
			Type: kind, Status: corev1.ConditionFalse, Reason: "Rehearsal", Message: "played", LastHeartbeatTime: now, LastTransitionTime: now,
		}
		if kind == corev1.NodeReady {
			one.Status = corev1.ConditionTrue
		}
		all = append(all, one)
	}
	return all
}

// HostIP of a node.
func (n *Nodes) HostIP(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ip, ok := n.ips[name]; ok {
		return ip
	}
	return "127.0.0.1"
}

// Run beats until ctx ends: all nodes at once, so that none waits for another's time-out, and again soon
// where the API server was away.
func (n *Nodes) Run(ctx context.Context) error {
	timer := time.NewTimer(beatEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if n.beatAll(ctx) {
			timer.Reset(beatEvery)
		} else {
			timer.Reset(retryEvery)
		}
	}
}

// beatAll says whether every node's heartbeat was heard.
func (n *Nodes) beatAll(ctx context.Context) bool {
	n.mu.Lock()
	names := maps.Clone(n.alive)
	n.mu.Unlock()
	var failed atomic.Bool
	var all sync.WaitGroup
	for name := range names {
		all.Go(func() {
			if err := n.beat(ctx, name); err != nil && ctx.Err() == nil {
				n.log.V(1).Info("a node's heartbeat failed", "node", name, "why", err.Error())
				failed.Store(true)
			}
		})
	}
	all.Wait()
	return !failed.Load()
}

// beat renews a node's Lease and keeps its conditions, as a kubelet does. A node that the controller manager
// gave up is ready again with the next beat, and what it was tainted with goes.
func (n *Nodes) beat(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return errors.Join(n.renew(ctx, name), n.keep(ctx, name))
}

func (n *Nodes) renew(ctx context.Context, name string) error {
	leases := n.client.CoordinationV1().Leases(leaseNamespace)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: leaseNamespace},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: new(int32(LeaseSeconds)), RenewTime: &now},
		}
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// keep writes a node's conditions where they are not what its kubelet says, or were not told for long.
func (n *Nodes) keep(ctx context.Context, name string) error {
	nodes := n.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	told, now := node.Status.Conditions, metav1.Now()
	want := healthy(now)
	stale := false
	for i := range want {
		at := slices.IndexFunc(told, func(c corev1.NodeCondition) bool { return c.Type == want[i].Type })
		switch {
		case at < 0 || told[at].Status != want[i].Status:
			stale = true
		default:
			want[i].LastTransitionTime = told[at].LastTransitionTime
			stale = stale || now.Sub(told[at].LastHeartbeatTime.Time) >= statusEvery
		}
	}
	if !stale {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": want}})
	if err != nil {
		return err
	}
	_, err = nodes.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
