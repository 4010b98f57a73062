package proc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// goAhead makes the calling thread a real-time one, if it may, and returns the way back. Niceness would not
// do: it counts only within one session, and the load is mostly another's.
func goAhead() (back func()) {
	was, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return func() {}
	}
	now := *was
	now.Policy, now.Priority, now.Nice = unix.SCHED_RR, 1, 0
	if unix.SchedSetAttr(0, &now, 0) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetAttr(0, was, 0) }
}
