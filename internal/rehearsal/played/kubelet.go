// Package played plays the nodes of a rehearsal. GPU nodes and their pods are kwok's; the pods of mining
// agents are real processes on this machine, each minded as a small kubelet would: volumes, environment,
// an address of its own, probes, restarts, grace. It never decides what an agent does.
package played

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
)

// AgentSelector finds the pods that are real processes.
const AgentSelector = "app.kubernetes.io/component=miner-agent"

// Options of a Kubelet.
type Options struct {
	// Dir takes volumes; LogDir takes one log a pod.
	Dir, LogDir string
	// Binary finds the program for a container's image and the first word of its command.
	Binary func(image, program string) (string, error)
	// HostIP of a node.
	HostIP func(node string) string
	// OnExit, where set, hears of every process that ended while its pod was not being stopped, as
	// agent/NAMESPACE/POD.
	OnExit func(name string, exit proc.Exit)
}

// Kubelet plays the pods of agents on every node.
type Kubelet struct {
	client    kubernetes.Interface
	addresses *Addresses
	opts      Options
	log       logr.Logger

	mu      sync.Mutex
	workers map[types.UID]*podWorker
	over    map[types.UID]bool // ended here, but the object is still there
	running sync.WaitGroup
}

// NewKubelet makes a Kubelet; Run starts it.
func NewKubelet(client kubernetes.Interface, addresses *Addresses, opts Options, log logr.Logger) *Kubelet {
	return &Kubelet{client: client, addresses: addresses, opts: opts, log: log, workers: map[types.UID]*podWorker{}, over: map[types.UID]bool{}}
}

// Run plays pods until ctx ends, and returns when every process has ended.
func (k *Kubelet) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(k.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = AgentSelector
	}))
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.saw(ctx, o) },
		UpdateFunc: func(_, o any) { k.saw(ctx, o) },
		DeleteFunc: k.lost,
	})
	if err != nil {
		return fmt.Errorf("watching the pods of agents: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	k.running.Wait()
	return nil
}

func (k *Kubelet) saw(ctx context.Context, object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w, known := k.workers[pod.UID]
	if k.over[pod.UID] {
		return
	}
	if !known {
		if w = k.begin(pod); w == nil {
			return
		}
		k.running.Go(func() {
			w.run(ctx)
			k.forget(pod.UID)
		})
	}
	w.newest(pod)
}

func (k *Kubelet) begin(pod *corev1.Pod) *podWorker {
	at := place{hostIP: k.opts.HostIP(pod.Spec.NodeName)}
	at.podIP = at.hostIP
	if !pod.Spec.HostNetwork {
		ip, err := k.addresses.Take()
		if err != nil {
			k.log.Error(err, "a pod gets no address", "pod", pod.Name)
			return nil
		}
		at.podIP = ip.String()
	}
	w := &podWorker{
		k: k, key: pod.Namespace + "/" + pod.Name, pod: pod.DeepCopy(), dir: filepath.Join(k.opts.Dir, string(pod.UID)),
		at:      at,
		data:    &reader{client: k.client, namespace: pod.Namespace},
		updates: make(chan *corev1.Pod, 1), dirty: make(chan struct{}, 1),
	}
	k.workers[pod.UID] = w
	return w
}

// newest replaces whatever the worker has not read yet.
func (w *podWorker) newest(pod *corev1.Pod) {
	for {
		select {
		case w.updates <- pod:
			return
		default:
		}
		select {
		case <-w.updates:
		default:
		}
	}
}

func (k *Kubelet) lost(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	k.mu.Lock()
	w := k.workers[pod.UID]
	delete(k.over, pod.UID)
	k.mu.Unlock()
	if w != nil {
		w.newest(nil)
	}
}

func (k *Kubelet) forget(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.workers, uid)
	k.over[uid] = true
}

var ordinal = regexp.MustCompile(`^(.*?)(\d+)$`)

// byName orders web-2 before web-10.
func byName(a, b string) int {
	x, y := ordinal.FindStringSubmatch(a), ordinal.FindStringSubmatch(b)
	if x != nil && y != nil && x[1] == y[1] {
		m, _ := strconv.Atoi(x[2])
		n, _ := strconv.Atoi(y[2])
		return m - n
	}
	return strings.Compare(a, b)
}

// Agents lists the played pods as NAMESPACE/NAME, in order: agent-N is the Nth.
func (k *Kubelet) Agents() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := map[string]bool{}
	for _, w := range k.workers {
		names[w.key] = true
	}
	return slices.SortedFunc(maps.Keys(names), byName)
}

// Key of an agent named agent-N, agent/POD or agent/NAMESPACE/POD: agent/NAMESPACE/POD.
func (k *Kubelet) Key(name string) (string, error) {
	all := k.Agents()
	rest := strings.TrimPrefix(name, "agent")
	if n, err := strconv.Atoi(strings.TrimPrefix(rest, "-")); err == nil && strings.HasPrefix(rest, "-") && n < len(all) {
		return "agent/" + all[n], nil
	}
	for _, key := range all {
		if rest == "/"+key || strings.HasSuffix(key, rest) && strings.HasPrefix(rest, "/") {
			return "agent/" + key, nil
		}
	}
	return "", fmt.Errorf("there is no %s: agents are %v", name, all)
}

// Find an agent by any of its names.
func (k *Kubelet) Find(name string) (proc.Target, error) {
	key, err := k.Key(name)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.workers {
		if "agent/"+w.key == key {
			return w, nil
		}
	}
	return nil, fmt.Errorf("there is no %s any more", key)
}

// reader reads a namespace's Secrets and ConfigMaps.
type reader struct {
	client    kubernetes.Interface
	namespace string
}

func (r *reader) secret(name string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := r.client.CoreV1().Secrets(r.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return s.Data, nil
}

func (r *reader) configMap(name string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := r.client.CoreV1().ConfigMaps(r.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for key, value := range c.Data {
		out[key] = []byte(value)
	}
	maps.Copy(out, c.BinaryData)
	return out, nil
}
