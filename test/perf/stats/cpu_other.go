//go:build !linux

package stats

import "time"

// ThreadCPU is not measured here.
func ThreadCPU() time.Duration { return 0 }
