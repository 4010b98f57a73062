package minerctl

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	barWidth = 30
	// redrawEvery keeps a bar from costing more than what it shows.
	redrawEvery = 200 * time.Millisecond
)

// Bar is a line on a terminal that says how far a scan is; with no terminal it is silent.
type Bar struct {
	out         io.Writer
	clock       Clock
	all         int
	done, found int
	began, last time.Time
}

// NewBar draws on out, which is nil where there is no terminal.
func NewBar(out io.Writer, clock Clock, all int) *Bar {
	return &Bar{out: out, clock: clock, all: all, began: clock.Now()}
}

// Found counts a row.
func (b *Bar) Found() { b.found++ }

// Done counts an address, and draws where it is time to.
func (b *Bar) Done() {
	b.done++
	now := b.clock.Now()
	if b.out == nil || now.Sub(b.last) < redrawEvery && b.done < b.all {
		return
	}
	b.last = now
	full := barWidth * b.done / b.all
	left := time.Duration(float64(now.Sub(b.began)) / float64(b.done) * float64(b.all-b.done))
	fmt.Fprintf(b.out, "\r[%s%s] %d of %d addresses, %d answer, %s left\x1b[K",
		strings.Repeat("#", full), strings.Repeat(".", barWidth-full), b.done, b.all, b.found, left.Round(time.Second))
}

// Clear takes the line away.
func (b *Bar) Clear() {
	if b.out != nil {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}

// Summary says what came of it.
func (b *Bar) Summary() string {
	return fmt.Sprintf("%d of %d addresses scanned in %s, %d answer", b.done, b.all,
		b.clock.Now().Sub(b.began).Round(redrawEvery/2), b.found)
}
