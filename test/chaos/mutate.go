package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Caught is what became of one mutant.
type Caught struct {
	Mutant
	// By is the check that caught it, Number the history; Number is -1 where none did.
	By     string
	Number int
}

var verdictLine = regexp.MustCompile(`(?m)^history ([0-9]+): ([A-Z0-9-]+) at `)

// HuntMutants builds one program with every mutant in it, asleep, and plays histories with each of them
// awake in turn until it is caught; out gets a table, a line for each as it ends. only, where not empty, names
// those to hunt.
func HuntMutants(ctx context.Context, out io.Writer, root, only string, seed uint64, histories int) ([]Caught, error) {
	work, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, fmt.Errorf("making a folder for mutants: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	program, err := buildMutants(ctx, root, work, Mutants)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(out, TableHead)
	var all []Caught
	for i, m := range Mutants {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.Name) {
			continue
		}
		c, err := hunt(ctx, program, i+1, m, seed, histories)
		if err != nil {
			return all, fmt.Errorf("mutant %s: %w", m.Name, err)
		}
		fmt.Fprintln(out, c.Row(seed))
		all = append(all, c)
	}
	return all, nil
}

// TableHead begins the table of mutants.
const TableHead = "| mutant | rule | in | caught by | seed | histories |\n|---|---|---|---|---|---|"

// Row is a mutant's line in the table.
func (c Caught) Row(seed uint64) string {
	by, needed := c.By, strconv.Itoa(c.Number+1)
	if c.Number < 0 {
		by, needed = "**nobody**", "-"
	}
	return fmt.Sprintf("| %s | %s | `%s` | %s | %d | %s |", c.Name, c.Rule, c.File, by, seed, needed)
}

// awake is the variable of the environment that says which mutant is.
const awake = "CHAOS_MUTANT"

func hunt(ctx context.Context, program string, number int, m Mutant, seed uint64, histories int) (Caught, error) {
	c := Caught{Mutant: m, Number: -1}
	play := exec.CommandContext(ctx, program, "-seed", strconv.FormatUint(seed, 10), "-histories", strconv.Itoa(histories))
	play.Env = append(os.Environ(), awake+"="+strconv.Itoa(number))
	text, err := play.CombinedOutput()
	found := verdictLine.FindSubmatch(text)
	if err != nil && found == nil {
		return c, fmt.Errorf("playing: %w\n%s", err, text)
	}
	if found != nil {
		c.By = string(found[2])
		c.Number, _ = strconv.Atoi(string(found[1]))
	}
	return c, nil
}

// buildMutants builds the program that holds them all.
func buildMutants(ctx context.Context, root, work string, mutants []Mutant) (program string, err error) {
	overlay, err := weave(root, work, mutants)
	if err != nil {
		return "", err
	}
	program = filepath.Join(work, "mutants")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./test/chaos/cmd")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mutants do not compile: %w\n%s", err, text)
	}
	return program, nil
}

// weave writes the files with their mutants in them, and says to the compiler where they are.
func weave(root, work string, mutants []Mutant) (overlay string, err error) {
	files := map[string]*woven{}
	replace := map[string]string{}
	for i, m := range mutants {
		f := files[m.File]
		if f == nil {
			if f, err = readWoven(root, m.File); err != nil {
				return "", err
			}
			files[m.File] = f
		}
		if err := f.add(i+1, m); err != nil {
			return "", fmt.Errorf("mutant %s: %w", m.Name, err)
		}
	}
	write := func(to, text string) error {
		path := filepath.Join(work, strconv.Itoa(len(replace))+".go")
		replace[to] = path
		return os.WriteFile(path, []byte(text), 0o600)
	}
	for _, f := range files {
		if err := write(f.path, f.text()); err != nil {
			return "", fmt.Errorf("writing mutants: %w", err)
		}
		which := filepath.Join(filepath.Dir(f.path), "chaos_mutant.go")
		if _, there := replace[which]; there {
			continue
		}
		if err := write(which, fmt.Sprintf(whichMutant, f.name, awake)); err != nil {
			return "", fmt.Errorf("writing mutants: %w", err)
		}
	}
	data, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	overlay = filepath.Join(work, "overlay.json")
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	return overlay, nil
}

// whichMutant goes beside the files of each package.
const whichMutant = `package %s

import (
	"os"
	"strconv"
)

var chaosMutant, _ = strconv.Atoi(os.Getenv(%q))
`

// woven is one file with other bodies for some of its functions.
type woven struct {
	path   string
	source string
	name   string
	funcs  []*ast.FuncDecl
	bodies []body
}

// body goes in at a place of the file.
type body struct {
	at   int
	text string
}

func readWoven(root, file string) (*woven, error) {
	path := filepath.Join(root, filepath.FromSlash(file))
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the file to change: %w", err)
	}
	f := &woven{path: path, source: string(text)}
	f.funcs, f.name, err = funcsOf(f.source)
	return f, err
}

func funcsOf(source string) (out []*ast.FuncDecl, name string, err error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, "", fmt.Errorf("reading Go: %w", err)
	}
	for _, d := range parsed.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			out = append(out, fn)
		}
	}
	return out, parsed.Name.Name, nil
}

// inner is a function's text between its braces; a file's first byte is at position 1.
func inner(source string, f *ast.FuncDecl) string { return source[f.Body.Lbrace : f.Body.Rbrace-1] }

// add puts a mutant's body before the one of the function that it changes.
func (f *woven) add(number int, m Mutant) error {
	if n := strings.Count(f.source, m.Old); n != 1 {
		return fmt.Errorf("the text to replace is in %s %d times", m.File, n)
	}
	changed := strings.Replace(f.source, m.Old, m.New, 1)
	funcs, _, err := funcsOf(changed)
	if err != nil {
		return err
	}
	for i, fn := range f.funcs {
		text := inner(changed, funcs[i])
		if text == inner(f.source, fn) {
			continue
		}
		if fn.Type.Results == nil {
			text += "\nreturn\n"
		}
		f.bodies = append(f.bodies, body{int(fn.Body.Lbrace), fmt.Sprintf("\nif chaosMutant == %d {%s\n}\n", number, text)})
		return nil
	}
	return fmt.Errorf("no function is changed")
}

// text is the file with everything in it.
func (f *woven) text() string {
	slices.SortStableFunc(f.bodies, func(a, b body) int { return a.at - b.at })
	var out strings.Builder
	last := 0
	for _, b := range f.bodies {
		out.WriteString(f.source[last:b.at])
		out.WriteString(b.text)
		last = b.at
	}
	out.WriteString(f.source[last:])
	return out.String()
}
