//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
)

// What hack/e2e.sh made in the node's own network: a bridge with this address, and the miners' addresses.
const (
	nodeAddress = "10.201.0.1"
	podNetwork  = "10.202.0.0/16"
	truth       = "127.0.0.1:9410"
	containerd  = "/run/containerd/containerd.sock" // in a /run of the node's own
)

var nodeName = "e2e"

// makeNode brings up a control plane, a node and the miners.
func makeNode() error {
	dir := filepath.Join(work, "cluster")
	c, err := cluster.Start(during, cluster.Options{
		BinDir: filepath.Join(root, "bin", "k8s"), Dir: dir, Advertise: netip.MustParseAddr(nodeAddress),
		OnExit: func(name string, exit proc.Exit) { fmt.Fprintf(os.Stderr, "e2e: %s: %s\n", name, exit) },
	})
	if err != nil {
		return err
	}
	place = placed{
		images: os.Getenv("E2E_IMAGES"), devices: "198.18.0.1-198.18.0.12", restricted: true,
		drains: "app.kubernetes.io/component!=operator", // they have nowhere else to go, and their budget would keep one
		watts:  func(ctx context.Context) (float64, error) { return readWatts(ctx, "http://"+truth+"/watts") }, stop: c.Stop,
	}
	kubeconfig = c.Kubeconfig
	if err := connect(); err != nil {
		return err
	}
	for _, step := range []func(*cluster.Cluster, string) error{startMiners, startContainerd, importImages, startKubelet} {
		if err := step(c, dir); err != nil {
			return err
		}
	}
	return nil
}

func serve(c *cluster.Cluster, name, path string, args ...string) error {
	_, err := c.Serve(proc.Spec{Name: name, Path: path, Args: args}, proc.Restart{First: time.Second, Next: time.Second, Max: 10 * time.Second})
	return err
}

func write(path, format string, args ...any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // pods' files are read by others
		return err
	}
	return os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600)
}

// fleet of twelve machines that draw 42 kW.
const fleet = `seed: 11
groups:
- {name: hall, count: 12, model: S21, firmware: BraiinsOS, firstAddress: %s, initial: Hashing, physics: {reportErrorPercent: 0.4}%s}
`

func startMiners(c *cluster.Cluster, dir string) error {
	file := filepath.Join(dir, "fleet.yaml")
	if err := write(file, fleet, "198.18.0.1", ""); err != nil {
		return err
	}
	return serve(c, "asic-sim", filepath.Join(work, "asic-sim"), "--fleet="+file, "--http="+truth)
}

func readWatts(ctx context.Context, url string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var is struct {
		Watts float64 `json:"watts"`
	}
	return is.Watts, json.NewDecoder(response.Body).Decode(&is)
}

const containerdConfig = `version = 2
root = "%[1]s/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "` + containerd + `"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%[2]s"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "%[1]s/cni"
`

const podNetworkConfig = `{"cniVersion": "0.4.0", "name": "e2e", "plugins": [
  {"type": "bridge", "bridge": "cw1", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "` + podNetwork + `"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "loopback"}
]}
`

func startContainerd(c *cluster.Cluster, dir string) error {
	file := filepath.Join(dir, "containerd.toml")
	if err := errors.Join(write(file, containerdConfig, dir, image("pause")),
		write(filepath.Join(dir, "cni", "e2e.conflist"), "%s", podNetworkConfig)); err != nil {
		return err
	}
	path, err := exec.LookPath("containerd")
	if err != nil {
		return err
	}
	if err := serve(c, "containerd", path, "--config="+file); err != nil {
		return err
	}
	return poll(during, time.Minute, func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, "ctr", "-a", containerd, "version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("containerd does not answer: %w: %s; its log ends with:\n%s", err, out, proc.LastLines(c.LogPath("containerd"), 5))
		}
		return nil
	})
}

func image(name string) string { return place.images + "/" + name + ":" + version() }

// importImages brings the images that hack/e2e.sh built to the node.
func importImages(*cluster.Cluster, string) error {
	built, err := filepath.Glob(filepath.Join(root, "bin", "images", "*-"+version()+"-*.tar"))
	if err != nil || len(built) == 0 {
		return fmt.Errorf("no images in bin/images: %w", err)
	}
	for _, file := range built {
		out, err := exec.CommandContext(during, "ctr", "-a", containerd, "-n", "k8s.io", "images", "import", file).CombinedOutput()
		if err != nil {
			return fmt.Errorf("importing %s: %w: %s", file, err, out)
		}
	}
	return nil
}

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[1]s/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: %[1]s/pki/server.crt
tlsPrivateKeyFile: %[1]s/pki/server.key
containerRuntimeEndpoint: unix://` + containerd + `
cgroupDriver: cgroupfs
cgroupRoot: /%[2]s
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
resolvConf: %[1]s/resolv.conf
imageGCHighThresholdPercent: 100 # never: nothing could bring an image back
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%", imagefs.inodesFree: "0%%"}
shutdownGracePeriod: 0s
`

func startKubelet(c *cluster.Cluster, dir string) error {
	file := filepath.Join(dir, "kubelet.yaml")
	if err := errors.Join(write(file, kubeletConfig, dir, os.Getenv("E2E_CGROUP")), write(filepath.Join(dir, "resolv.conf"), "")); err != nil {
		return err
	}
	if err := serve(c, "kubelet", binary("kubelet"), "--config="+file, "--kubeconfig="+c.Kubeconfig,
		"--hostname-override="+nodeName, "--node-ip="+nodeAddress, "--node-labels=power=e2e"); err != nil {
		return err
	}
	if err := serve(c, "kube-proxy", binary("kube-proxy"), "--kubeconfig="+c.Kubeconfig, "--hostname-override="+nodeName,
		"--proxy-mode=iptables", "--cluster-cidr="+podNetwork, "--conntrack-max-per-core=0", "--conntrack-min=0"); err != nil {
		return err
	}
	return poll(during, 2*time.Minute, func(ctx context.Context) error {
		if err := nodeReady(ctx); err != nil {
			return fmt.Errorf("%w; the kubelet's log ends with:\n%s", err, proc.LastLines(c.LogPath("kubelet"), 5))
		}
		return nil
	})
}

func nodeReady(ctx context.Context) error {
	var node corev1.Node
	if err := admin.Get(ctx, client.ObjectKey{Name: nodeName}, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("the node is not Ready")
}
