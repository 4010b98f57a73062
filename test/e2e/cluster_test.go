//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// The miners are a pod on the network of the node that the agents run on, and all meet on its loopback addresses.
const minersManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: miners, labels: {pod-security.kubernetes.io/enforce: privileged}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fleet, namespace: miners}
data:
  fleet.yaml: |
    %s
---
apiVersion: v1
kind: Pod
metadata: {name: asic-sim, namespace: miners}
spec:
  hostNetwork: true
  nodeSelector: {power: e2e}
  automountServiceAccountToken: false
  containers:
  - {name: asic-sim, image: "%s", args: [--fleet=/fleet/fleet.yaml, "--http=:19410"], volumeMounts: [{name: fleet, mountPath: /fleet}],
     readinessProbe: {httpGet: {path: /healthz, port: 19410}, periodSeconds: 1}}
  volumes: [{name: fleet, configMap: {name: fleet}}]
`

// joinCluster uses a cluster that is there, and one node of it.
func joinCluster() error {
	place = placed{
		images: os.Getenv("E2E_IMAGES"), devices: "127.99.0.1-127.99.0.12", hostNetwork: true,
		drains: agentLabels,
	}
	if place.images == "" {
		return errors.New("E2E_IMAGES is not set: name the repository, without the slash, whose operator, miner-agent, asic-sim and pause the nodes pull")
	}
	if err := connect(); err != nil {
		return err
	}
	if err := untouched(); err != nil {
		return err
	}
	place.stop = leaveCluster
	if err := chooseNode(); err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	place.watts = proxiedWatts(clients)
	miners := strings.ReplaceAll(fmt.Sprintf(fleet, "127.99.0.1", ", ports: {BraiinsOS: 8080}"), "\n", "\n    ")
	cmd := exec.CommandContext(during, binary("kubectl"), "apply", "--server-side", "-f", "-")
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + work}
	cmd.Stdin = strings.NewReader(fmt.Sprintf(minersManifest, miners, image("asic-sim")))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making the miners: %w: %s", err, out)
	}
	return poll(during, 2*time.Minute, func(ctx context.Context) error {
		_, err := place.watts(ctx)
		return err
	})
}

// chooseNode takes the first node that is Ready and takes pods, unless one is named.
func chooseNode() error {
	if nodeName = os.Getenv("E2E_NODE"); nodeName == "" {
		var nodes corev1.NodeList
		if err := admin.List(during, &nodes); err != nil {
			return err
		}
		for i := range nodes.Items {
			if n := &nodes.Items[i]; !n.Spec.Unschedulable && len(n.Spec.Taints) == 0 {
				nodeName = n.Name
				break
			}
		}
	}
	if nodeName == "" {
		return errors.New("no node takes pods: name one with E2E_NODE")
	}
	_, err := run(binary("kubectl"), "label", "node", nodeName, "power=e2e")
	return err
}

// proxiedWatts asks the simulated miners through the API server.
func proxiedWatts(c kubernetes.Interface) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		data, err := c.CoreV1().RESTClient().Get().Namespace("miners").Resource("pods").Name("asic-sim:19410").
			SubResource("proxy").Suffix("watts").DoRaw(ctx)
		if err != nil {
			return 0, err
		}
		var is struct {
			Watts float64 `json:"watts"`
		}
		return is.Watts, json.Unmarshal(data, &is)
	}
}

// made are the namespaces of the test, which are deleted in the end.
var made = []string{aiNS, miningNS, operatorNS, "miners"}

// untouched sees that nothing here has the names that the test makes and deletes.
func untouched() error {
	for _, name := range made {
		err := admin.Get(during, client.ObjectKey{Name: name}, &corev1.Namespace{})
		if err == nil {
			return fmt.Errorf("there is a namespace %s, which the test would make and delete: use another cluster", name)
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	var budgets powerv1.PowerBudgetList
	if err := admin.List(during, &budgets); !meta.IsNoMatchError(err) {
		return errors.New("this cluster has Counterweight's CRDs, which the test would make and delete: use another cluster")
	}
	return nil
}

// leaveCluster takes away what the test brought, whether it went well or not.
func leaveCluster() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	during = ctx
	do := func(program string, args ...string) {
		if _, err := run(program, args...); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: cleaning up:", err)
		}
	}
	do(binary("kubectl"), "uncordon", nodeName)
	do(tool("helm"), "uninstall", "counterweight", "-n", operatorNS, "--no-hooks", "--ignore-not-found")
	releaseFinalizers(ctx)
	do(binary("kubectl"), append([]string{"delete", "namespace", "--ignore-not-found", "--timeout=3m"}, made...)...)
	releaseFinalizers(ctx)
	do(binary("kubectl"), "delete", "crd", "--ignore-not-found", "--timeout=1m", "powerbudgets.power.counterweight.dev",
		"minerpools.power.counterweight.dev", "gpuworkloads.power.counterweight.dev", "curtailmentevents.power.counterweight.dev")
	do(binary("kubectl"), "label", "node", nodeName, "power-")
	if !place.patched {
		return
	}
	do(binary("kubectl"), "patch", "node", nodeName, "--subresource=status", "--type=merge",
		`-p={"status":{"capacity":{"nvidia.com/gpu":null},"allocatable":{"nvidia.com/gpu":null}}}`)
}

// releaseFinalizers lets go of what the operator would, had it not been uninstalled.
func releaseFinalizers(ctx context.Context) {
	for _, list := range []client.ObjectList{
		&powerv1.MinerPoolList{}, &powerv1.GPUWorkloadList{}, &powerv1.CurtailmentEventList{}, &powerv1.PowerBudgetList{}, &corev1.PodList{},
	} {
		var options []client.ListOption
		if _, pods := list.(*corev1.PodList); pods {
			options = append(options, client.InNamespace(aiNS))
		}
		if err := admin.List(ctx, list, options...); err != nil {
			continue // the kind is not there
		}
		_ = meta.EachListItem(list, func(o runtime.Object) error {
			off := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
			return client.IgnoreNotFound(admin.Patch(ctx, o.(client.Object), off))
		})
	}
}
