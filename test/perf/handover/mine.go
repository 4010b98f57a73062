package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/counterweight-dev/counterweight/internal/link"
	"github.com/counterweight-dev/counterweight/test/perf/await"
)

// agentPort is where the operator dials agents.
const agentPort = 7443

// atOnce bounds what this process asks of the API server at one time.
const atOnce = 8

func inParallel(n int, do func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range n {
		g.Go(func() error { return do(i) })
	}
	return g.Wait()
}

// mine stands in for StatefulSet controller, scheduler and kubelets: once the operator has written a pool's
// StatefulSet, its pods are made, each with an address of its own, and a model answers there.
func (s *site) mine(ctx context.Context) error {
	for p := range s.Pools {
		var set *appsv1.StatefulSet
		err := await.Until(ctx, time.Minute, 200*time.Millisecond, func() (err error) {
			set, err = s.client.AppsV1().StatefulSets(miningNamespace).Get(ctx, poolName(p), metav1.GetOptions{})
			return err
		})
		if err != nil {
			return fmt.Errorf("waiting for the StatefulSet of %s: %w", poolName(p), err)
		}
		dir, err := s.certificates(ctx, p)
		if err != nil {
			return err
		}
		err = inParallel(s.AgentsPerPool, func(n int) error { return s.agent(ctx, set, dir, p, n) })
		if err != nil {
			return err
		}
	}
	return nil
}

// certificates are those that the operator made for a pool's agents.
func (s *site) certificates(ctx context.Context, pool int) (string, error) {
	dir := filepath.Join(s.dir, poolName(pool))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("writing certificates: %w", err)
	}
	return dir, await.Until(ctx, time.Minute, 200*time.Millisecond, func() error {
		secret, err := s.client.CoreV1().Secrets(miningNamespace).Get(ctx, poolName(pool)+"-agent-tls", metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("waiting for the certificates of %s: %w", poolName(pool), err)
		}
		for name, data := range secret.Data {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return fmt.Errorf("writing certificates: %w", err)
			}
		}
		return nil
	})
}

// address of one agent, on this machine.
func address(pool, n int) string {
	return fmt.Sprintf("127.121.%d.%d", pool, n+1)
}

// agent makes one agent's pod and serves its model.
func (s *site) agent(ctx context.Context, set *appsv1.StatefulSet, tlsDir string, pool, n int) error {
	pods := s.client.CoreV1().Pods(miningNamespace)
	pod := &corev1.Pod{ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(), Spec: *set.Spec.Template.Spec.DeepCopy()}
	pod.Name, pod.Namespace, pod.Spec.NodeName = fmt.Sprintf("%s-%d", set.Name, n), miningNamespace, "mining"
	pod.Labels["apps.kubernetes.io/pod-index"] = strconv.Itoa(n)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating agent pod %s: %w", pod.Name, err)
	}
	ip := address(pool, n)
	if err := s.serve(ctx, tlsDir, ip, string(made.UID), pool*s.AgentsPerPool+n); err != nil {
		return err
	}
	made.Status = runningStatus("agent", ip)
	if _, err := pods.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("telling that agent pod %s runs: %w", pod.Name, err)
	}
	return nil
}

func (s *site) serve(ctx context.Context, tlsDir, ip, uid string, n int) error {
	config, err := link.ServerTLS(tlsDir, func(error) {})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(agentPort)))
	if err != nil {
		return fmt.Errorf("serving an agent: %w", err)
	}
	m := newModel(n, s.DevicesPerAgent, s.Settle, s.lower)
	server := link.NewServer(m, uid, config, logr.Discard())
	s.mu.Lock()
	s.models = append(s.models, m)
	s.mu.Unlock()
	s.background.Go(func() { m.run(ctx) })
	s.background.Go(func() { _ = server.Serve(listener) })
	s.background.Go(func() {
		<-ctx.Done()
		server.Stop()
	})
	return nil
}

// lower notes that a lease took watts from an agent.
func (s *site) lower(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lowered = at
	s.lowers++
}

// agents are the models, each of which tells the site of its leases with its own lock held.
func (s *site) agents() []*model {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.models)
}

// leased is the sum of what the agents may draw, and of what they could.
func (s *site) leased() (leased, most int64) {
	for _, m := range s.agents() {
		m.mu.Lock()
		leased += int64(m.level)
		most += int64(m.curve[points].Watts)
		m.mu.Unlock()
	}
	return leased, most
}

// filled waits until mining has had all it gets: the sum has not moved for a while.
func (s *site) filled(ctx context.Context) error {
	const still = 25 // seconds: a raise too small to be worth it waits 20
	last, same := int64(-1), 0
	return await.Until(ctx, 4*time.Minute, time.Second, func() error {
		leased, most := s.leased()
		if same++; leased != last {
			last, same = leased, 0
		}
		if leased < most/10 || same < still {
			return errors.Join(fmt.Errorf("mining has %d W of %d W and still moves", leased, most))
		}
		return nil
	})
}
