package proc

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Restart says how soon a service that ended is started again: after First, then after Next, doubling up
// to Max. The zero value never does.
type Restart struct{ First, Next, Max time.Duration }

// KubeletRestart is how a kubelet does it: at once, then 10 s, 20 s and so on to 5 minutes.
var KubeletRestart = Restart{First: 1, Next: 10 * time.Second, Max: 5 * time.Minute}

// Delay before restart n, counted from 0.
func (r Restart) Delay(n int) time.Duration {
	if n == 0 {
		return r.First
	}
	d := r.Next
	for range n - 1 {
		if d = 2 * d; d >= r.Max {
			return r.Max
		}
	}
	return min(d, r.Max)
}

// Service is a process that is started again when it ends.
type Service struct {
	spec    Spec
	restart Restart
	onExit  func(name string, exit Exit)

	mu       sync.Mutex
	process  *Process
	restarts int
	stopped  bool
	halted   bool // down until Start
	again    *time.Timer
}

// Serve starts a service. onExit, which may be nil, hears of every end that Stop did not cause.
func Serve(spec Spec, restart Restart, onExit func(string, Exit)) (*Service, error) {
	s := &Service{spec: spec, restart: restart, onExit: onExit}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// Name of the service.
func (s *Service) Name() string { return s.spec.Name }

// LogPath of the service.
func (s *Service) LogPath() string { return s.spec.LogPath }

// Start starts it now, if it is not running.
func (s *Service) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted = false
	return s.start()
}

// start is Start where nobody wants it down; s.mu is held.
func (s *Service) start() error {
	if s.stopped || s.halted || s.running() {
		return nil
	}
	if s.again != nil {
		s.again.Stop()
		s.again = nil
	}
	p, err := Start(s.spec)
	if err != nil {
		return err
	}
	s.process = p
	go s.follow(p)
	return nil
}

func (s *Service) running() bool {
	if s.process == nil {
		return false
	}
	select {
	case <-s.process.Done():
		return false
	default:
		return true
	}
}

func (s *Service) follow(p *Process) {
	<-p.Done()
	s.mu.Lock()
	stopped := s.stopped
	if !stopped && !s.halted && s.restart.First > 0 && s.process == p {
		s.again = time.AfterFunc(s.restart.Delay(s.restarts), s.restartNow)
		s.restarts++
	}
	s.mu.Unlock()
	if !stopped && s.onExit != nil {
		s.onExit(s.spec.Name, p.Exit())
	}
}

func (s *Service) restartNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A start that fails shows in the log of whoever asked first; there is nobody to tell here.
	_ = s.start()
}

// Halt kills it. It stays down until Start, and is down when Halt returns.
func (s *Service) Halt() error {
	s.mu.Lock()
	s.halted = true
	if s.again != nil {
		s.again.Stop()
		s.again = nil
	}
	p := s.process
	s.mu.Unlock()
	if p != nil {
		p.Stop(0)
	}
	return nil
}

// Running says whether it is running now; a paused one is.
func (s *Service) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running()
}

// Restarts so far.
func (s *Service) Restarts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Signal goes to the running process.
func (s *Service) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return fmt.Errorf("%s: %w", s.spec.Name, ErrEnded)
	}
	return p.Signal(sig)
}

// Stop ends it for good.
func (s *Service) Stop(grace time.Duration) {
	s.mu.Lock()
	s.stopped = true
	p := s.process
	if s.again != nil {
		s.again.Stop()
	}
	s.mu.Unlock()
	if p != nil {
		p.Stop(grace)
	}
}

// Target is a process that a step can act on.
type Target interface {
	Signal(syscall.Signal) error
	Start() error
	Halt() error
}

// Pid of the process that runs or ran last.
func (s *Service) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Pid()
}
