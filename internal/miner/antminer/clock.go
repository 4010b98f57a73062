package antminer

import "time"

// after is what the looks at a machine that has not answered yet are spaced with.
func after(d time.Duration) <-chan time.Time { return time.After(d) }
