package played

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// TestNodesThatWereGivenUpComeBack: after the API server was away for long, the controller manager takes
// every node for lost.
func TestNodesThatWereGivenUpComeBack(t *testing.T) {
	s := set(t)
	defer s.end()
	for _, name := range []string{"mining-0", "gpu-0"} {
		s.node(name, func(n *corev1.Node) bool { return readyStatus(n) == corev1.ConditionTrue })
		s.giveUp(name)
	}
	s.node("mining-0", tainted)
	if !s.nodes.beatAll(t.Context()) {
		t.Error("a heartbeat was not heard")
	}
	for _, name := range []string{"mining-0", "gpu-0"} {
		s.node(name, func(n *corev1.Node) bool { return readyStatus(n) == corev1.ConditionTrue && !tainted(n) })
	}
}

func readyStatus(n *corev1.Node) corev1.ConditionStatus {
	i := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
	if i < 0 {
		return ""
	}
	return n.Status.Conditions[i].Status
}

func tainted(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnreachable })
}

// giveUp writes what the controller manager does of a node it heard nothing of.
func (s *stage) giveUp(name string) {
	s.t.Helper()
	node, err := s.client.CoreV1().Nodes().Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range node.Status.Conditions {
		node.Status.Conditions[i].Status = corev1.ConditionUnknown
	}
	if _, err := s.client.CoreV1().Nodes().UpdateStatus(s.t.Context(), node, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// node waits until a node is as wanted.
func (s *stage) node(name string, wanted func(*corev1.Node) bool) {
	s.t.Helper()
	var last *corev1.Node
	err := wait.PollUntilContextTimeout(s.t.Context(), 50*time.Millisecond, 40*time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		last, err = s.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		return err == nil && wanted(last), err
	})
	if err != nil {
		s.t.Fatalf("node %s is not as wanted: %v; %+v, taints %+v", name, err, last.Status.Conditions, last.Spec.Taints)
	}
}

// TestAPodThatNeverRanIsReportedEnded: its volume is never there, and whoever holds it by a finalizer must
// learn that nothing of it runs.
func TestAPodThatNeverRanIsReportedEnded(t *testing.T) {
	s := set(t)
	defer s.end()
	objects, err := scenario.Parse(`
apiVersion: v1
kind: Pod
metadata: {name: early, namespace: default, labels: {app.kubernetes.io/component: miner-agent}, finalizers: [example.com/hold]}
spec:
  automountServiceAccountToken: false
  nodeSelector: {power.counterweight.dev/mining: "true"}
  volumes: [{name: tls, secret: {secretName: nobody-makes-it}}]
  containers: [{name: agent, image: x}, {name: other, image: x}]
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.writer.Apply(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
	s.pod("early", func(p *corev1.Pod) bool { return p != nil && p.Spec.NodeName != "" })
	if err := s.client.CoreV1().Pods("default").Delete(t.Context(), "early", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ended := s.pod("early", terminatedAll)
	if n := len(ended.Status.ContainerStatuses); n != 2 || ended.Status.Phase != corev1.PodFailed {
		t.Errorf("%d containers, %+v", n, ended.Status)
	}
	if code := ended.Status.ContainerStatuses[1].State.Terminated.ExitCode; code != 137 {
		t.Errorf("got exit code %d", code)
	}
	held := s.pod("early", func(p *corev1.Pod) bool {
		return p != nil && p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
	})
	held.Finalizers = nil
	if _, err := s.client.CoreV1().Pods("default").Update(t.Context(), held, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.pod("early", func(p *corev1.Pod) bool { return p == nil })
}
