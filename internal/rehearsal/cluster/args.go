package cluster

import (
	"fmt"
	"net"
	"path/filepath"
)

// freePorts finds ports nobody listens on; all are held until the last is found, so they differ.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// FreePort finds one port of 127.0.0.1 nobody listens on.
func FreePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// Ports: 0 and 1 are etcd's, 2 the API server's, 3 the controller manager's, 4 the scheduler's.
func (c *Cluster) etcdArgs(ports []int) []string {
	client := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	return []string{
		"--data-dir", filepath.Join(c.opts.Dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "default=" + peer,
		"--unsafe-no-fsync", "--log-level", "warn",
	}
}

func (c *Cluster) apiServerArgs(ports []int) []string {
	file := c.certs.file
	return append(c.listenArgs(),
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", ports[0]),
		fmt.Sprintf("--secure-port=%d", ports[2]),
		"--tls-cert-file="+file("server.crt"), "--tls-private-key-file="+file("server.key"),
		"--client-ca-file="+file("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+file("sa.pub"), "--service-account-signing-key-file="+file("sa.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC", "--anonymous-auth=false", "--allow-privileged=true",
		"--profiling=false",
	)
}

// listenArgs say where the API server is reached, and how it reaches kubelets.
func (c *Cluster) listenArgs() []string {
	if !c.opts.Advertise.IsValid() {
		return []string{"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"}
	}
	file := c.certs.file
	return []string{
		"--bind-address=0.0.0.0", "--advertise-address=" + c.opts.Advertise.String(),
		"--kubelet-preferred-address-types=InternalIP", "--kubelet-certificate-authority=" + file("ca.crt"),
		"--kubelet-client-certificate=" + file("admin.crt"), "--kubelet-client-key=" + file("admin.key"),
	}
}

func (c *Cluster) controllerManagerArgs(ports []int) []string {
	return []string{
		"--kubeconfig=" + c.Kubeconfig, "--leader-elect=false",
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[3]), "--cert-dir=" + c.opts.Dir,
		"--service-account-private-key-file=" + c.certs.file("sa.key"), "--root-ca-file=" + c.certs.file("ca.crt"),
		"--allocate-node-cidrs=false", "--profiling=false",
		"--kube-api-qps=200", "--kube-api-burst=400",
		"--concurrent-job-syncs=5", "--controllers=*,-persistentvolume-binder-controller,-persistentvolume-attach-detach-controller,-persistentvolume-expander-controller",
	}
}

func (c *Cluster) schedulerArgs(ports []int) []string {
	return []string{
		"--kubeconfig=" + c.Kubeconfig, "--leader-elect=false",
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[4]), "--cert-dir=" + c.opts.Dir,
		"--kube-api-qps=200", "--kube-api-burst=400", "--profiling=false",
	}
}
