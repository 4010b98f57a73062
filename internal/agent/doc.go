// Package agent minds the machines of one mining pod: it finds them, polls them, keeps them under the
// lease in force and reports what they may draw. One goroutine owns the lease (internal/lease) and what
// is known of each machine (internal/fit); workers do the I/O, one operation per machine at a time, and
// post their results back. It never decides how many watts it may have, never trusts that a machine did
// as it was told, and keeps nothing on disk.
package agent
