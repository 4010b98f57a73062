package handover

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// gpuPod asks for so many accelerators and belongs to a workload.
func gpuPod(name, workload string, gpus int64) *corev1.Pod {
	n := *resource.NewQuantity(gpus, resource.DecimalSI)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: workNamespace, Labels: map[string]string{"app": workload}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			Containers: []corev1.Container{{
				Name: "train", Image: "train", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{gpu: n}},
			}},
		},
	}
}

// nodes creates the accelerator nodes and one for agents. No controller minds them here, so that the taint
// of a fresh node is taken off by hand.
func (s *site) nodes(ctx context.Context) error {
	nodes := s.client.CoreV1().Nodes()
	return inParallel(s.Nodes+1, func(i int) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "mining"}}
		amount := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("250")}
		if i > 0 {
			node.Name, node.Labels = nodeName(i-1), map[string]string{"hall": "one"}
			amount[gpu] = *resource.NewQuantity(gpusPerNode, resource.DecimalSI)
		}
		node.Status = corev1.NodeStatus{
			Capacity: amount, Allocatable: amount,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Bench"}},
		}
		made, err := nodes.Create(ctx, node, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("creating node %s: %w", node.Name, err)
		}
		made.Spec.Taints = nil
		if _, err := nodes.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("taking the taint off node %s: %w", node.Name, err)
		}
		return nil
	})
}

func nodeName(i int) string { return fmt.Sprintf("gpu-%05d", i) }

func poolName(i int) string { return fmt.Sprintf("pool-%d", i) }

// budgets and pools: a site over a hall that feeds everything. The limit leaves the miners less than they
// could draw, so that every pod's watts have to come from them.
func (s *site) power(ctx context.Context, forAI int64) error {
	var text strings.Builder
	rated := int64(0)
	for p := range s.Pools {
		ofPool := int64(0)
		for n := range s.AgentsPerPool {
			ofPool += int64(newModel(p*s.AgentsPerPool+n, s.DevicesPerAgent, 0, nil).rated())
		}
		rated += ofPool
		fmt.Fprintf(&text, `---
apiVersion: power.counterweight.dev/v1alpha1
kind: MinerPool
metadata: {name: %s, namespace: %s}
spec:
  budget: hall
  devices: {addresses: [%s]}
  devicesPerAgent: %d
  ratedWatts: "%d"
`, poolName(p), miningNamespace, rangeOf(p, s.AgentsPerPool*s.DevicesPerAgent), s.DevicesPerAgent, ofPool)
	}
	limit := rated*int64(s.LimitPercent)/100 + forAI
	return s.apply(ctx, fmt.Sprintf(`apiVersion: power.counterweight.dev/v1alpha1
kind: PowerBudget
metadata: {name: site}
spec: {limitWatts: "%d"}
---
apiVersion: power.counterweight.dev/v1alpha1
kind: PowerBudget
metadata: {name: hall}
spec: {parent: site, limitWatts: "%d", nodeSelector: {hall: one}}
`, limit, 2*limit)+text.String())
}

// rangeOf is a pool's addresses: nothing answers there, the agents are models.
func rangeOf(pool, n int) string {
	last := n - 1
	return fmt.Sprintf("10.%d.0.0-10.%d.%d.%d", pool, pool, last/256, last%256)
}

// workload is a claim that the pods of one label share.
func (s *site) workload(ctx context.Context, name string, wattsPerPod int) error {
	return s.apply(ctx, fmt.Sprintf(`apiVersion: power.counterweight.dev/v1alpha1
kind: GPUWorkload
metadata: {name: %s, namespace: %s}
spec: {class: Training, selector: {matchLabels: {app: %s}}, wattsPerPod: "%d"}
`, name, workNamespace, name, wattsPerPod))
}

// runs puts a pod on a node and says that it runs there, as scheduler and kubelet would.
func (s *site) runs(ctx context.Context, pod, node string) error {
	pods := s.client.CoreV1().Pods(workNamespace)
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: workNamespace}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	if err := pods.Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("binding pod %s: %w", pod, err)
	}
	made, err := pods.Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading pod %s: %w", pod, err)
	}
	made.Status = runningStatus("train", "10.255.0.1")
	if _, err := pods.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("telling that pod %s runs: %w", pod, err)
	}
	return nil
}

func runningStatus(container, ip string) corev1.PodStatus {
	return corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: container, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}},
	}
}

// admittedPod is one whose gate an operator opened earlier: on its node, with its watts on it.
func admittedPod(name, workload, node string, gpus, watts int64) *corev1.Pod {
	pod := gpuPod(name, workload, gpus)
	pod.Annotations = map[string]string{powerv1.AdmittedAnnotation: fmt.Sprint(watts)}
	pod.Spec.NodeName, pod.Spec.NodeSelector = node, map[string]string{"hall": "one"}
	return pod
}
