// Command cmd plays chaos histories: many at once, or one with its timeline.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"

	"github.com/counterweight-dev/counterweight/test/chaos"
)

func main() {
	histories := flag.Int("histories", 1000, "how many histories")
	seed := flag.Uint64("seed", 1, "the seed that they are drawn from")
	from := flag.Int("from", 0, "the number of the first")
	one := flag.Int("history", -1, "play only this one, shrink it if it breaks a rule")
	timeline := flag.Bool("timeline", false, "with -history: print everything that happens")
	most := flag.Int("most", 1, "stop after so many violations")
	profile := flag.String("profile", "", "write a CPU profile here")
	flag.Parse()
	debug.SetGCPercent(1000) // histories are short-lived garbage
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		_ = pprof.StartCPUProfile(f)
	}
	code := 0
	if *one >= 0 {
		out := chaos.Play(*seed, *one)
		if *timeline {
			fmt.Fprintln(os.Stdout, strings.Join(out.Trace, "\n"))
		}
		if out.Violation != nil {
			fmt.Fprintln(os.Stdout, out.Violation)
			code = 1
		}
	} else {
		r := chaos.Run(*seed, *from, *histories, *most)
		for _, n := range r.First {
			out := chaos.Play(*seed, n)
			fmt.Fprintf(os.Stdout, "history %d: %v\n", n, out.Violation)
		}
		fmt.Fprintf(os.Stdout, "chaos: %d histories, %d steps, %d violations, seed %d\n", r.Histories, r.Steps, r.Violations, *seed)
		if r.Violations > 0 {
			code = 1
		}
	}
	pprof.StopCPUProfile()
	os.Exit(code)
}
