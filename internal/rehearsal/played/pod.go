package played

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
)

// podWorker is one played pod, from the moment it is bound to a node until it is gone.
type podWorker struct {
	k    *Kubelet
	key  string
	pod  *corev1.Pod // as first seen; spec and identity do not change
	dir  string
	at   place
	data lookup

	updates chan *corev1.Pod // newest state; nil is "gone"
	dirty   chan struct{}

	mu         sync.Mutex
	containers []*container
	started    metav1.Time
	over       bool // nothing runs, nor will
}

const (
	retryEvery   = time.Second
	refreshEvery = 15 * time.Second // of mounted Secrets and ConfigMaps; a kubelet takes up to a minute
)

func (w *podWorker) run(ctx context.Context) {
	defer os.RemoveAll(w.dir)
	defer w.leave()
	v := newVolumes(filepath.Join(w.dir, "volumes"), w.pod, w.at, w.data)
	retry := time.NewTimer(0)
	defer retry.Stop()
	if w.mustEnd(ctx, <-w.updates) { // before anything is started
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case pod := <-w.updates:
			if w.mustEnd(ctx, pod) {
				return
			}
		case <-w.dirty:
			w.report(ctx)
		case <-retry.C:
			w.refresh(v)
			w.report(ctx)
			retry.Reset(w.pause())
		}
	}
}

// mustEnd ends a pod that was deleted. One that is gone altogether (nil) is not mourned.
func (w *podWorker) mustEnd(ctx context.Context, pod *corev1.Pod) bool {
	if pod == nil {
		return true
	}
	if pod.DeletionTimestamp == nil {
		return false
	}
	w.end(ctx, pod)
	return true
}

// leave ends what still runs, at once, and gives the address back.
func (w *podWorker) leave() {
	w.stop(0)
	if w.at.podIP != w.at.hostIP {
		if ip, err := netip.ParseAddr(w.at.podIP); err == nil {
			w.k.addresses.Give(ip)
		}
	}
}

// pause until the next look at volumes: soon while the pod waits for them.
func (w *podWorker) pause() time.Duration {
	if len(w.all()) == 0 {
		return retryEvery
	}
	return refreshEvery
}

func (w *podWorker) refresh(v *volumes) {
	if err := v.refresh(); err != nil {
		w.k.log.V(1).Info("a pod waits for its volumes", "pod", w.key, "why", err.Error())
		return
	}
	if len(w.all()) > 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = metav1.Now()
	for i := range w.pod.Spec.Containers {
		spec := &w.pod.Spec.Containers[i]
		launch := func() (*proc.Process, error) { return w.launch(v, spec) }
		w.containers = append(w.containers, newContainer(spec, w.pod.Spec.RestartPolicy, w.at.podIP, launch, w.changed, w.exited))
	}
	for _, c := range w.containers {
		go c.run()
	}
}

// launch starts one container's process with the environment it would see.
func (w *podWorker) launch(v *volumes, spec *corev1.Container) (*proc.Process, error) {
	at := w.at
	at.mounts = v.mounts(spec)
	env, err := environment(w.pod, spec, at, w.data)
	if err != nil {
		return nil, err
	}
	program, args := arguments(spec, env, at)
	path, err := w.k.opts.Binary(spec.Image, program)
	if err != nil {
		return nil, err
	}
	env = append(env, "HOSTNAME="+w.pod.Name, "PATH="+os.Getenv("PATH"), "TMPDIR="+w.dir)
	return proc.Start(proc.Spec{
		Name: w.key + "/" + spec.Name, Path: path, Args: args, Env: env,
		LogPath: filepath.Join(w.k.opts.LogDir, strings.ReplaceAll(w.key, "/", "_")+".log"),
	})
}

func (w *podWorker) exited(exit proc.Exit) {
	if w.k.opts.OnExit != nil {
		w.k.opts.OnExit("agent/"+w.key, exit)
	}
}

func (w *podWorker) changed() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

func (w *podWorker) all() []*container {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.containers
}

// report writes the pod's status; where that fails it is tried again.
func (w *podWorker) report(ctx context.Context) {
	if err := w.write(ctx); err != nil && ctx.Err() == nil {
		w.k.log.V(1).Info("a pod's status could not be written; trying again", "pod", w.key, "why", err.Error())
		time.AfterFunc(retryEvery, w.changed)
	}
}

// write the pod's status. An object that is gone, or another's by now, needs none.
func (w *podWorker) write(ctx context.Context) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": w.pod.UID}, "status": w.status()})
	if err != nil {
		return fmt.Errorf("writing a pod's status: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = w.k.client.CoreV1().Pods(w.pod.Namespace).Patch(limited, w.pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return unlessGone(err)
}

func unlessGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (w *podWorker) status() corev1.PodStatus {
	s := corev1.PodStatus{
		Phase: corev1.PodPending, HostIP: w.at.hostIP, HostIPs: []corev1.HostIP{{IP: w.at.hostIP}},
		PodIP: w.at.podIP, PodIPs: []corev1.PodIP{{IP: w.at.podIP}},
	}
	ready, ended, failed := true, true, false
	for _, one := range w.containerStatuses() {
		s.ContainerStatuses = append(s.ContainerStatuses, one.ContainerStatus)
		ready = ready && one.Ready
		t := one.State.Terminated
		ended = ended && t != nil && one.over
		failed = failed || (t != nil && t.ExitCode != 0)
	}
	begun := len(s.ContainerStatuses) > 0
	if begun {
		s.Phase = phaseOf(ended, failed)
	}
	if !w.started.IsZero() {
		s.StartTime = &w.started
	}
	s.Conditions = w.conditions(begun, begun && ready)
	return s
}

type containerStatus struct {
	corev1.ContainerStatus
	over bool
}

// containerStatuses are none before anything is started. When the pod has ended, every container has: one
// that never ran is reported terminated as well, else nobody could tell that it never will.
func (w *podWorker) containerStatuses() []containerStatus {
	w.mu.Lock()
	over := w.over
	w.mu.Unlock()
	var out []containerStatus
	for _, c := range w.all() {
		out = append(out, containerStatus{c.snapshot(), c.isOver()})
	}
	if !over {
		return out
	}
	if len(out) == 0 {
		for _, spec := range w.pod.Spec.Containers {
			out = append(out, containerStatus{corev1.ContainerStatus{Name: spec.Name, Image: spec.Image, Started: new(false)}, true})
		}
	}
	for i := range out {
		if out[i].State.Terminated == nil {
			out[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "the container did not run when the pod was terminated",
			}}
		}
	}
	return out
}

func (w *podWorker) conditions(begun, ready bool) []corev1.PodCondition {
	var all []corev1.PodCondition
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized} {
		all = append(all, w.condition(kind, begun))
	}
	for _, kind := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		all = append(all, w.condition(kind, ready))
	}
	return all
}

func phaseOf(ended, failed bool) corev1.PodPhase {
	switch {
	case !ended:
		return corev1.PodRunning
	case failed:
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

// condition keeps the time of the last change.
func (w *podWorker) condition(kind corev1.PodConditionType, ok bool) corev1.PodCondition {
	now := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, LastTransitionTime: metav1.Now()}
	if ok {
		now.Status = corev1.ConditionTrue
	}
	i := slices.IndexFunc(w.pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	switch {
	case i < 0:
		w.pod.Status.Conditions = append(w.pod.Status.Conditions, now)
		return now
	case w.pod.Status.Conditions[i].Status != now.Status:
		w.pod.Status.Conditions[i] = now
	}
	return w.pod.Status.Conditions[i]
}

// end stops the processes with the grace the pod was given, reports their end, and lets the object go;
// finalizers are for others to take away.
func (w *podWorker) end(ctx context.Context, pod *corev1.Pod) {
	grace := 30 * time.Second
	if pod.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	}
	w.stop(grace)
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	for w.letGo(ctx, pod) != nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// letGo reports the end before it deletes the object: others wait for that report, and no one comes after.
func (w *podWorker) letGo(ctx context.Context, pod *corev1.Pod) error {
	if err := w.write(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return unlessGone(w.k.client.CoreV1().Pods(pod.Namespace).Delete(limited, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID},
	}))
}

func (w *podWorker) stop(grace time.Duration) {
	var all sync.WaitGroup
	for _, c := range w.all() {
		all.Go(func() { c.stop(grace) })
	}
	all.Wait()
}

// Signal goes to every container's process.
func (w *podWorker) Signal(sig syscall.Signal) error {
	all := w.all()
	if len(all) == 0 {
		return fmt.Errorf("agent %s is not running yet", w.key)
	}
	for _, c := range all {
		if err := c.signal(sig); err != nil {
			return fmt.Errorf("agent %s: %w", w.key, err)
		}
	}
	return nil
}

// Halt kills every container's process; none is started again until Start.
func (w *podWorker) Halt() error {
	for _, c := range w.all() {
		c.halt()
	}
	return nil
}

// Start ends the back-off of what is not running.
func (w *podWorker) Start() error {
	for _, c := range w.all() {
		c.start()
	}
	return nil
}

func (c *container) isOver() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}
