// Package proc runs the processes of a rehearsal: each in a process group of its own, so that it can be
// paused and killed as a whole, and each dying with the rehearsal, however that ends.
package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec is what to run.
type Spec struct {
	Name string
	Path string
	Args []string
	// Env is the whole environment; nil inherits this process's.
	Env []string
	// LogPath takes stderr, and stdout where Stdout is nil; appended to.
	LogPath string
	Stdout  io.Writer
	// Ahead of everything else on a busy machine, where privileges allow it: for what measures, and for
	// what is hardware and waits for nobody's CPU.
	Ahead bool
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit status, or 128 plus the signal's number.
	Code   int
	Signal syscall.Signal
}

// String says it in words.
func (e Exit) String() string {
	if e.Signal != 0 {
		return "ended by " + unix.SignalName(e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Process is a running or ended process.
type Process struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
	exit Exit
}

// Start starts it.
func Start(spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", spec.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env = spec.Env
	cmd.Stderr = log
	cmd.Stdout = log
	if spec.Stdout != nil {
		cmd.Stdout = spec.Stdout
	}
	cmd.WaitDelay = time.Second // a grandchild may hold stdout open
	cmd.SysProcAttr = attributes()
	if err := spawn(cmd, spec.Ahead); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	p := &Process{spec: spec, cmd: cmd, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	// The error says no more than the state; reading it wrongly would only hide a signal.
	_ = p.cmd.Wait()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		p.exit = Exit{Code: 128 + int(status.Signal()), Signal: status.Signal()}
	} else {
		p.exit = Exit{Code: p.cmd.ProcessState.ExitCode()}
	}
	// What it left behind in its group goes with it.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	close(p.done)
}

// Pid of the process and of its group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how it ended; valid after Done.
func (p *Process) Exit() Exit { return p.exit }

// ErrEnded says that there is nobody to signal.
var ErrEnded = errors.New("it has ended")

// Signal goes to the whole group. A process that has ended takes none.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return fmt.Errorf("%s: %w", p.spec.Name, ErrEnded)
	default:
	}
	if err := syscall.Kill(-p.Pid(), sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signalling %s: %w", p.spec.Name, err)
	}
	return nil
}

// Stop asks the process to end, and makes it after grace. It returns when the process has ended.
func (p *Process) Stop(grace time.Duration) {
	if grace > 0 {
		_ = p.Signal(syscall.SIGTERM)
		_ = p.Signal(syscall.SIGCONT) // a paused one would never read the first
		select {
		case <-p.done:
			return
		case <-time.After(grace):
		}
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// LastLines of the log, for a message to a person.
func LastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// The kernel ends our children when the thread that started them ends, so one thread that never does
// starts them all.
var spawner = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// spawn starts a command. Children inherit how the thread that starts them is scheduled.
func spawn(cmd *exec.Cmd, first bool) error {
	result := make(chan error)
	spawner() <- func() {
		if first {
			defer goAhead()()
		}
		result <- cmd.Start()
	}
	return <-result
}
