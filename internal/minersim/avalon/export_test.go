package avalon

import "github.com/counterweight-dev/counterweight/internal/minersim"

// Busy tells whether a connection of the device is being heard.
func Busy(d *minersim.Device) bool {
	line := &d.Memory().(*state).line
	if line.TryLock() {
		line.Unlock()
		return false
	}
	return true
}
