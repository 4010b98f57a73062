// Command cmd plays chaos histories: many at once, one with its timeline, or many with each of the known
// defects in the code.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"

	"github.com/counterweight-dev/counterweight/test/chaos"
)

type flags struct {
	histories, from, one, most int
	seed                       uint64
	timeline, mutants          bool
	only, table, profile       string
}

func main() {
	var f flags
	flag.IntVar(&f.histories, "histories", 1000, "how many histories")
	flag.Uint64Var(&f.seed, "seed", 1, "the seed that they are drawn from")
	flag.IntVar(&f.from, "from", 0, "the number of the first")
	flag.IntVar(&f.one, "history", -1, "play only this one; shrink it if it breaks a rule")
	flag.BoolVar(&f.timeline, "timeline", false, "with -history: print everything that happens, unshrunk")
	flag.IntVar(&f.most, "most", 1, "stop after so many violations")
	flag.BoolVar(&f.mutants, "mutants", false, "hunt the known defects, each in a program of its own")
	flag.StringVar(&f.only, "only", "", "with -mutants: only those of these names, with commas between")
	flag.StringVar(&f.table, "table", "", "with -mutants: the page whose table is written anew")
	flag.StringVar(&f.profile, "profile", "", "write a CPU profile here")
	flag.Parse()
	debug.SetGCPercent(1000) // histories are short-lived garbage
	os.Exit(run(f))
}

func run(f flags) int {
	if f.profile != "" {
		file, err := os.Create(f.profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		defer pprof.StopCPUProfile()
	}
	switch {
	case f.mutants:
		return mutants(f)
	case f.one >= 0:
		return one(f)
	}
	r := chaos.Run(f.seed, f.from, f.histories, f.most)
	for i, n := range r.First {
		fmt.Fprintf(os.Stdout, "history %d: %v\n", n, chaos.Play(f.seed, n).Violation)
		if i == 0 {
			show(f.seed, n)
		}
	}
	if r.Wild > 0 {
		fmt.Fprintf(os.Stdout, "%d histories with machines that wake by themselves or lie: %.0f watt-seconds over limits, at most %.1f s at a time\n",
			r.Wild, r.WildWattSeconds, r.WildLongest.Seconds())
	}
	fmt.Fprintf(os.Stdout, "chaos: %d histories, %d steps, %d violations, seed %d\n", r.Histories, r.Steps, r.Violations, f.seed)
	if r.Violations > 0 {
		return 1
	}
	return 0
}

// lastLines of a timeline are printed with a violation.
const lastLines = 40

// show prints a shrunk history and how to play it again.
func show(seed uint64, n int) (broken bool) {
	out, what := chaos.Shrink(seed, n)
	if out.Violation == nil {
		return false
	}
	fmt.Fprint(os.Stdout, what)
	fmt.Fprintln(os.Stdout, strings.Join(out.Trace[max(0, len(out.Trace)-lastLines):], "\n"))
	fmt.Fprintf(os.Stdout, "play it again: make chaos SEED=%d HISTORY=%d\n", seed, n)
	return true
}

func one(f flags) int {
	if f.timeline {
		out := chaos.Play(f.seed, f.one)
		fmt.Fprintln(os.Stdout, strings.Join(out.Trace, "\n"))
	}
	violations := 0
	out := chaos.Play(f.seed, f.one)
	if out.Violation != nil {
		violations = 1
		fmt.Fprintf(os.Stdout, "history %d: %v\n", f.one, out.Violation)
		show(f.seed, f.one)
	}
	fmt.Fprintf(os.Stdout, "chaos: 1 histories, %d steps, %d violations, seed %d\n", out.Steps, violations, f.seed)
	return violations
}

func mutants(f flags) int {
	all, err := chaos.HuntMutants(context.Background(), os.Stdout, ".", f.only, f.seed, f.histories)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	missed := 0
	rows := []string{chaos.TableHead}
	for _, c := range all {
		rows = append(rows, c.Row(f.seed))
		if c.Number < 0 {
			missed++
		}
	}
	fmt.Fprintf(os.Stdout, "chaos-mutants: %d of %d caught, seed %d\n", len(all)-missed, len(all), f.seed)
	if f.table != "" && f.only == "" {
		if err := writeTable(f.table, strings.Join(rows, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return min(missed, 1)
}

// The table is between these lines of the page.
const begins, ends = "<!-- mutants begin -->\n", "\n<!-- mutants end -->"

func writeTable(page, table string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	head, rest, ok := strings.Cut(string(text), begins)
	_, tail, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table", page)
	}
	if err := os.WriteFile(page, []byte(head+begins+table+ends+tail), 0o600); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
