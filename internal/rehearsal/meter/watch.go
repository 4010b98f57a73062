package meter

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"github.com/counterweight-dev/counterweight/internal/outage"
)

// AskAgain is how soon the judge's watches ask again while the API server is away.
const AskAgain = 200 * time.Millisecond

// Resources whose specs are the limits.
var (
	Budgets = schema.GroupVersionResource{Group: "power.counterweight.dev", Version: "v1alpha1", Resource: "powerbudgets"}
	Events  = schema.GroupVersionResource{Group: "power.counterweight.dev", Version: "v1alpha1", Resource: "curtailmentevents"}
)

// Run measures until ctx ends.
func Run(ctx context.Context, cfg Config, out io.Writer, log logr.Logger) error {
	rest, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	rest = outage.Patient(rest, AskAgain)
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	anything, err := dynamic.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	m := &Meter{Config: cfg, Clock: clock.RealClock{}, Limits: NewLimits(), Mining: NoMachines(clock.RealClock{})}
	if cfg.SimURL != "" {
		m.Mining = FromSim(cfg.SimURL)
	}
	if err := m.follow(ctx, client, anything, log); err != nil {
		return err
	}
	return m.Run(ctx, out)
}

// follow watches pods and limits, and returns when it has seen what is there. When the API is away, what
// was seen last stays, and events known begin and end by the clock.
func (m *Meter) follow(ctx context.Context, client kubernetes.Interface, anything dynamic.Interface, log logr.Logger) error {
	pods := informers.NewSharedInformerFactory(client, 0)
	objects := dynamicinformer.NewDynamicSharedInformerFactory(anything, 0)
	tell := func(err error) {
		if err != nil {
			log.Error(err, "an object can't be read; its former state stands")
		}
	}
	budgets, events := objects.ForResource(Budgets).Informer(), objects.ForResource(Events).Informer()
	podInformer := pods.Core().V1().Pods().Informer()
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		podInformer: handlers(func(p *corev1.Pod) { m.SetPod(p) }, func(p *corev1.Pod) { m.DropPod(p.UID) }),
		budgets: handlers(func(u *unstructured.Unstructured) { tell(m.Limits.SetBudget(u)) },
			func(u *unstructured.Unstructured) { m.Limits.DropBudget(u.GetName()) }),
		events: handlers(func(u *unstructured.Unstructured) { tell(m.Limits.SetEvent(u)) },
			func(u *unstructured.Unstructured) { m.Limits.DropEvent(u.GetName()) }),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watching: %w", err)
		}
	}
	pods.Start(ctx.Done())
	objects.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), podInformer.HasSynced, budgets.HasSynced, events.HasSynced) {
		return ctx.Err()
	}
	return nil
}

func handlers[T any](set, drop func(T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if typed, ok := o.(T); ok {
				set(typed)
			}
		},
		UpdateFunc: func(_, o any) {
			if typed, ok := o.(T); ok {
				set(typed)
			}
		},
		DeleteFunc: func(o any) {
			if tombstone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = tombstone.Obj
			}
			if typed, ok := o.(T); ok {
				drop(typed)
			}
		},
	}
}
