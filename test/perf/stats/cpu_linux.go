package stats

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadCPU is the processor time that the calling thread has had; what was stolen from it, or given to
// others, is not in it. The caller holds on to its thread.
func ThreadCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
