package played

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// TestMain plays the program in the container where it is asked to.
func TestMain(m *testing.M) {
	if os.Getenv("PLAYED_LISTEN") != "" {
		os.Exit(playContainer())
	}
	os.Exit(m.Run())
}

func playContainer() int {
	if _, err := os.Stat(os.Getenv("PLAYED_FILE")); err != nil {
		return 7
	}
	l, err := net.Listen("tcp", os.Getenv("PLAYED_LISTEN"))
	if err != nil {
		return 8
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Args[1:]) })
	go func() { _ = http.Serve(l, answer) }()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	return 0
}

const workloads = `
apiVersion: v1
kind: Secret
metadata: {name: tls, namespace: default}
stringData: {tls.crt: x}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: agents, namespace: default}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app.kubernetes.io/component: miner-agent}}
  template:
    metadata:
      labels: {app.kubernetes.io/component: miner-agent}
      finalizers: [example.com/hold]
    spec:
      automountServiceAccountToken: false
      nodeSelector: {power.counterweight.dev/mining: "true"}
      terminationGracePeriodSeconds: 20
      volumes: [{name: tls, secret: {secretName: tls}}]
      containers:
      - name: agent
        image: x
        args: ["-test.run=none", "$(PLAYED_LISTEN)"]
        env:
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: PLAYED_LISTEN, value: "$(POD_IP):7443"}
        - {name: PLAYED_FILE, value: /etc/x/tls/tls.crt}
        volumeMounts: [{name: tls, mountPath: /etc/x/tls}]
        ports: [{name: lease, containerPort: 7443}]
        readinessProbe: {httpGet: {path: /, port: lease}}
---
apiVersion: v1
kind: Pod
metadata: {name: gpu, namespace: default, annotations: {rehearsal/run-seconds: "1"}}
spec:
  restartPolicy: Never
  containers: [{name: c, image: x, resources: {limits: {nvidia.com/gpu: 8}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: forever, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  containers: [{name: c, image: x, resources: {limits: {nvidia.com/gpu: 8}}}]
`

type stage struct {
	t      *testing.T
	client kubernetes.Interface
	writer *cluster.Writer
	nodes  *Nodes
	k      *Kubelet
	end    context.CancelFunc
	done   chan error
}

// set starts a control plane with two mining nodes, a GPU node and all that plays them.
func set(t *testing.T) *stage {
	t.Helper()
	bin := os.Getenv("KUBEBUILDER_ASSETS")
	if bin == "" {
		bin = filepath.Join("..", "..", "..", "bin", "k8s")
	}
	if err := cluster.CheckBinaries(bin, cluster.Binaries, ""); err != nil {
		t.Skipf("no control plane here: %v", err)
	}
	dir := t.TempDir()
	c, err := cluster.Start(t.Context(), cluster.Options{BinDir: bin, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	args, err := KwokArgs(dir, c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Serve(proc.Spec{Name: "kwok", Path: filepath.Join(bin, "kwok"), Args: args}, proc.Restart{}); err != nil {
		t.Fatal(err)
	}
	addresses, err := NewAddresses()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(addresses.Close)
	s := &stage{t: t, client: kubernetes.NewForConfigOrDie(c.Admin), done: make(chan error, 1)}
	s.nodes = NewNodes(s.client, addresses, logr.Discard())
	if err := s.nodes.Create(t.Context(), []NodeSpec{
		{Name: "mining-0", Labels: map[string]string{MiningLabel: "true"}}, {Name: "mining-1", Labels: map[string]string{MiningLabel: "true"}},
		{Name: "gpu-0", Resources: map[string]int64{"nvidia.com/gpu": 16}, Kwok: true},
	}); err != nil {
		t.Fatal(err)
	}
	if s.writer, err = cluster.NewWriter(c.Admin); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Dir: filepath.Join(dir, "pods"), LogDir: dir, HostIP: s.nodes.HostIP, Binary: func(string, string) (string, error) { return self, nil }}
	s.k = NewKubelet(s.client, addresses, opts, logr.Discard())
	var ctx context.Context
	ctx, s.end = context.WithCancel(t.Context())
	go func() { s.done <- s.k.Run(ctx) }()
	return s
}

// pod waits until a pod is as wanted; nil is "gone".
func (s *stage) pod(name string, wanted func(*corev1.Pod) bool) *corev1.Pod {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 40*time.Second)
	defer cancel()
	lw := cache.NewListWatchFromClient(s.client.CoreV1().RESTClient(), "pods", "default", fields.OneTermEqualSelector("metadata.name", name))
	var last *corev1.Pod
	_, err := watchtools.UntilWithSync(ctx, lw, &corev1.Pod{}, func(store cache.Store) (bool, error) {
		items := store.List()
		return len(items) == 0 && wanted(nil), nil
	}, func(e watch.Event) (bool, error) {
		if e.Type == watch.Deleted {
			return wanted(nil), nil
		}
		last = e.Object.(*corev1.Pod)
		return wanted(last), nil
	})
	if err != nil {
		s.t.Fatalf("pod %s is not as wanted: %v; last: %+v", name, err, statusOf(last))
	}
	return last
}

func statusOf(pod *corev1.Pod) any {
	if pod == nil {
		return "gone"
	}
	return pod.Status
}

func ready(pod *corev1.Pod) bool {
	return pod != nil && len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].Ready && pod.Status.Phase == corev1.PodRunning
}

func terminatedAll(pod *corev1.Pod) bool {
	return pod != nil && len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Terminated != nil
}

func TestAgentsAreRealProcesses(t *testing.T) {
	s := set(t)
	objects, err := scenario.Parse(workloads)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.writer.Apply(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
	first, second := s.pod("agents-0", ready), s.pod("agents-1", ready)
	if first.Status.PodIP == second.Status.PodIP {
		t.Errorf("two agents share %s", first.Status.PodIP)
	}
	s.gpuPodsLive()
	s.killed(first)
	s.deleted(second)
	s.end()
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", first.Status.PodIP+":7443"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("an agent outlived the rehearsal: %v", err)
	}
}

// gpuPodsLive: one ends by itself, the other when it is deleted, and both say that their containers ended.
func (s *stage) gpuPodsLive() {
	s.t.Helper()
	done := s.pod("gpu", terminatedAll)
	if done.Status.Phase != corev1.PodSucceeded || done.Spec.NodeName != "gpu-0" {
		s.t.Errorf("phase %s on %s", done.Status.Phase, done.Spec.NodeName)
	}
	s.readyAgain(s.pod("forever", ready))
	seen := make(chan bool, 1)
	go func() { seen <- s.pod("forever", terminatedAll) != nil }()
	if err := s.client.CoreV1().Pods("default").Delete(s.t.Context(), "forever", metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
	<-seen
	s.pod("forever", func(p *corev1.Pod) bool { return p == nil })
}

// readyAgain: the controller manager says of pods on a node that it gave up that they are not ready.
func (s *stage) readyAgain(pod *corev1.Pod) {
	s.t.Helper()
	for i := range pod.Status.Conditions {
		pod.Status.Conditions[i].Status = corev1.ConditionFalse
	}
	if _, err := s.client.CoreV1().Pods("default").UpdateStatus(s.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.pod(pod.Name, func(p *corev1.Pod) bool {
		return p != nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	})
}

func (s *stage) killed(pod *corev1.Pod) {
	s.t.Helper()
	agent, err := s.k.Find("agent-0")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := agent.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	again := s.pod(pod.Name, func(p *corev1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
	if last := again.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 137 {
		s.t.Errorf("the kill is not told: %+v", last)
	}
	s.halted(agent, pod.Name)
	if again.UID != pod.UID || again.Status.PodIP != pod.Status.PodIP {
		s.t.Error("the pod is another one")
	}
}

// halted: it stays down, whatever its restart policy, until it is started.
func (s *stage) halted(agent proc.Target, name string) {
	s.t.Helper()
	if err := agent.Halt(); err != nil {
		s.t.Fatal(err)
	}
	down := s.pod(name, terminatedAll)
	if down.Status.ContainerStatuses[0].RestartCount != 1 {
		s.t.Error("it was started again")
	}
	if err := agent.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.pod(name, func(p *corev1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[0].RestartCount == 2 })
}

// deleted: the process ends, the object stays until its finalizer is taken away, and nothing is started for it.
func (s *stage) deleted(pod *corev1.Pod) {
	s.t.Helper()
	if err := s.client.CoreV1().Pods("default").Delete(s.t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
	ended := s.pod(pod.Name, terminatedAll)
	if code := ended.Status.ContainerStatuses[0].State.Terminated.ExitCode; code != 0 {
		s.t.Errorf("want a graceful end, got exit code %d", code)
	}
	held := s.pod(pod.Name, func(p *corev1.Pod) bool {
		return p != nil && p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
	})
	if len(held.Finalizers) != 1 || !terminatedAll(held) || held.Status.Phase != corev1.PodSucceeded {
		s.t.Errorf("finalizers %v, status %+v", held.Finalizers, held.Status)
	}
	held.Finalizers = nil
	if _, err := s.client.CoreV1().Pods("default").Update(s.t.Context(), held, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.pod(pod.Name, func(p *corev1.Pod) bool { return ready(p) && p.UID != pod.UID })
}
