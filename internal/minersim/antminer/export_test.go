package antminer

import (
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// WaitOf is how long a machine takes to reply to a write.
func WaitOf(d *minersim.Device) (wait time.Duration) {
	d.Do(func(*minersim.Machine) { wait = d.Memory().(*state).wait })
	return wait
}
