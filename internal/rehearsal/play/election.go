package play

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// lockName is the election's Lease, in the operator's namespace.
const lockName = "counterweight-operator"

const (
	// freshSeconds is how old the last renewal of a living leader can be.
	freshSeconds = 8
	// leaseReadTimeout bounds the question who leads: a hung API server answers nothing.
	leaseReadTimeout = 2 * time.Second
)

// election knows who leads. While the API server is away, it is whoever led when it was last heard.
type election struct {
	client kubernetes.Interface
	clock  clock.PassiveClock

	mu     sync.Mutex
	holder string
	// away are identities whose process was killed or is paused: their Lease is fresh for a while.
	away map[string]bool
	// stopped is the operator that each of kill, stop and pause last meant by "leader".
	stopped map[string]string
}

func newElection(client kubernetes.Interface, c clock.PassiveClock) *election {
	return &election{client: client, clock: c, away: map[string]bool{}, stopped: map[string]string{}}
}

// follow notes every new holder until ctx ends.
func (e *election) follow(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(systemNamespace))
	informer := factory.Coordination().V1().Leases().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: e.saw, UpdateFunc: func(_, o any) { e.saw(o) }})
	if err != nil {
		return fmt.Errorf("watching the election: %w", err)
	}
	factory.Start(ctx.Done())
	return nil
}

func (e *election) saw(object any) {
	lease, ok := object.(*coordinationv1.Lease)
	if !ok || lease.Name != lockName || holderOf(lease) == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.holder = holderOf(lease)
}

func holderOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// operatorOf an identity: its process's name.
func operatorOf(identity string) string {
	name, _, _ := strings.Cut(identity, "_")
	return name
}

func (e *election) read(ctx context.Context) (*coordinationv1.Lease, error) {
	limited, cancel := context.WithTimeout(ctx, leaseReadTimeout)
	defer cancel()
	lease, err := e.client.CoordinationV1().Leases(systemNamespace).Get(limited, lockName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	e.saw(lease)
	return lease, nil
}

// meant by "leader" is, where it is stopped, whoever leads now, and where it goes on, whoever was stopped
// last under that name.
func (e *election) meant(ctx context.Context, action string) (string, error) {
	switch action {
	case "resume":
		return e.stoppedBy("pause")
	case "start":
		return e.stoppedBy("kill")
	}
	if _, err := e.read(ctx); err != nil && ctx.Err() != nil {
		return "", ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.holder == "" {
		return "", errors.New("no operator has led yet")
	}
	if action == "stop" {
		action = "kill"
	}
	e.stopped[action] = operatorOf(e.holder)
	return operatorOf(e.holder), nil
}

func (e *election) stoppedBy(action string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name, ok := e.stopped[action]; ok {
		return name, nil
	}
	return "", fmt.Errorf("no leader was stopped by a %s", action)
}

// disturbed hears what was done to a process, so that a Lease of one that can't lead counts for nothing.
func (e *election) disturbed(name, action string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if operatorOf(e.holder) != name {
		return
	}
	switch action {
	case "kill", "stop", "pause":
		e.away[e.holder] = true
	case "resume":
		delete(e.away, e.holder)
	}
}

// leads says what is missing until an operator leads.
func (e *election) leads(ctx context.Context) error {
	lease, err := e.read(ctx)
	if err != nil {
		return err
	}
	holder := holderOf(lease)
	e.mu.Lock()
	away := e.away[holder]
	e.mu.Unlock()
	switch {
	case holder == "" || lease.Spec.RenewTime == nil:
		return errors.New("no operator leads")
	case away:
		return fmt.Errorf("no operator leads: %s was stopped", operatorOf(holder))
	case e.clock.Since(lease.Spec.RenewTime.Time) >= freshSeconds*time.Second:
		return fmt.Errorf("no operator leads: %s was heard of last %.0f s ago", operatorOf(holder), e.clock.Since(lease.Spec.RenewTime.Time).Seconds())
	}
	return nil
}
