package played

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
)

// container is one container of a played pod: a process that is started again when it ends.
type container struct {
	spec    *corev1.Container
	policy  corev1.RestartPolicy
	ip      string
	launch  func() (*proc.Process, error)
	changed func() // the status is another now
	onExit  func(proc.Exit)

	mu       sync.Mutex
	process  *proc.Process
	status   corev1.ContainerStatus
	stopping bool
	halted   bool          // down until start
	now      chan struct{} // ends a back-off
	ended    chan struct{}
}

func newContainer(spec *corev1.Container, policy corev1.RestartPolicy, ip string, launch func() (*proc.Process, error), changed func(), onExit func(proc.Exit)) *container {
	return &container{
		spec: spec, policy: policy, ip: ip, launch: launch, changed: changed, onExit: onExit,
		status: corev1.ContainerStatus{
			Name: spec.Name, Image: spec.Image, ImageID: "rehearsal", Started: new(false),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		},
		now: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// run keeps the process running until stop, or for as long as the restart policy says.
func (c *container) run() {
	defer close(c.ended)
	for restarts := 0; ; restarts++ {
		exit, err := c.once()
		if !c.again(exit, err) {
			return
		}
		c.backOff(restarts, err)
		if c.isStopping() {
			return
		}
		c.set(func(s *corev1.ContainerStatus) { s.RestartCount++ })
	}
}

func (c *container) again(exit proc.Exit, err error) bool {
	if c.isStopping() {
		return false
	}
	switch {
	case err != nil || c.policy == corev1.RestartPolicyAlways:
		return true
	case c.policy == corev1.RestartPolicyOnFailure:
		return exit.Code != 0
	}
	return false
}

func (c *container) once() (proc.Exit, error) {
	p, err := c.begin()
	if err != nil {
		return proc.Exit{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	started := metav1.Now()
	c.set(func(s *corev1.ContainerStatus) {
		s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
		s.Started = new(true)
	})
	c.probe(ctx, p)
	<-p.Done()
	cancel()
	exit := p.Exit()
	c.set(func(s *corev1.ContainerStatus) {
		s.State = corev1.ContainerState{Terminated: terminated(exit, started)}
		s.LastTerminationState = s.State
		s.Ready, s.Started = false, new(false)
	})
	if !c.isStopping() {
		c.onExit(exit)
	}
	return exit, nil
}

var errStopping = errors.New("the pod is being stopped")

// begin starts the process, unless the pod is being stopped.
func (c *container) begin() (*proc.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return nil, errStopping
	}
	p, err := c.launch()
	if err == nil {
		c.process = p
	}
	return p, err
}

func terminated(exit proc.Exit, started metav1.Time) *corev1.ContainerStateTerminated {
	reason := "Error"
	if exit.Code == 0 {
		reason = "Completed"
	}
	return &corev1.ContainerStateTerminated{
		ExitCode: int32(exit.Code), Signal: int32(exit.Signal), Reason: reason, StartedAt: started, FinishedAt: metav1.Now(),
	}
}

func (c *container) probe(ctx context.Context, p *proc.Process) {
	if try := readiness(c.spec, c.ip); try != nil {
		go follow(ctx, try, rhythmOf(c.spec.ReadinessProbe), func(ok bool) {
			c.set(func(s *corev1.ContainerStatus) { s.Ready = ok && s.State.Running != nil })
		})
	} else {
		c.set(func(s *corev1.ContainerStatus) { s.Ready = true })
	}
	live := c.spec.LivenessProbe
	if live == nil {
		return
	}
	if try := handler(c.spec, live.ProbeHandler, c.ip); try != nil {
		r := rhythmOf(live)
		r.beginsAsSuccessful = true
		go follow(ctx, try, r, func(ok bool) {
			if !ok {
				p.Stop(livenessGrace)
			}
		})
	}
}

// livenessGrace is how long a process that failed its liveness probe may take to end.
const livenessGrace = 2 * time.Second

// backOff waits as a kubelet does before it starts a container again.
func (c *container) backOff(restarts int, err error) {
	delay := proc.KubeletRestart.Delay(restarts)
	if err != nil {
		delay = max(delay, time.Second)
	}
	if delay > proc.KubeletRestart.First && !c.isHalted() {
		waiting := &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off " + delay.String()}
		if err != nil {
			waiting = &corev1.ContainerStateWaiting{Reason: "CreateContainerError", Message: err.Error()}
		}
		c.set(func(s *corev1.ContainerStatus) { s.State = corev1.ContainerState{Waiting: waiting} })
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for again := true; again; again = c.isHalted() {
		select {
		case <-timer.C:
		case <-c.now:
		}
	}
}

func (c *container) set(change func(*corev1.ContainerStatus)) {
	c.mu.Lock()
	change(&c.status)
	c.mu.Unlock()
	c.changed()
}

func (c *container) snapshot() corev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.status.DeepCopy()
}

func (c *container) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

func (c *container) isHalted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.halted
}

// halt kills the process; it stays down until start.
func (c *container) halt() {
	c.mu.Lock()
	c.halted = true
	p := c.process
	c.mu.Unlock()
	if p != nil {
		p.Stop(0)
	}
}

// start ends a back-off.
func (c *container) start() {
	c.mu.Lock()
	c.halted = false
	c.mu.Unlock()
	select {
	case c.now <- struct{}{}:
	default:
	}
}

// stop ends the process for good and returns when it has ended.
func (c *container) stop(grace time.Duration) {
	c.mu.Lock()
	c.stopping = true
	p := c.process
	c.mu.Unlock()
	c.start()
	if p != nil {
		p.Stop(grace)
	}
	<-c.ended
}

func (c *container) signal(sig syscall.Signal) error {
	c.mu.Lock()
	p := c.process
	c.mu.Unlock()
	if p == nil {
		return proc.ErrEnded
	}
	return p.Signal(sig)
}
