package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/testenv"
)

// What the papers tell people to type with kubectl works on a cluster that has what they speak of: blocks marked read
// as they stand, blocks marked dry with --dry-run=server, and so is what stands between backticks in a sentence.
func TestWhatThePapersTellToType(t *testing.T) {
	c := newCluster(t)
	c.takes(t)
	all, read, dry := blocks(t), 0, 0
	for i, b := range all {
		for _, line := range lines(b.text) {
			switch {
			case b.language != "sh":
			case b.name == "read":
				read++
				out := c.reads(t, b, line)
				if next := i + 1; next < len(all) && all[next].language == "text" && all[next].page == b.page && len(lines(b.text)) == 1 {
					shows(t, all[next], line, out)
				}
			case b.name == "dry":
				dry++
				c.types(t, b.page, b.line, dryly(line))
			}
		}
	}
	if read == 0 || dry == 0 {
		t.Errorf("%d lines are read, %d are tried", read, dry)
	}
	sentences := 0
	for _, page := range papers(t) {
		for i, line := range strings.Split(text(t, page), "\n") {
			for _, found := range regexp.MustCompile("`(kubectl [^`]+)`").FindAllStringSubmatch(line, -1) {
				if words := spoken(found[1]); words != "" {
					sentences++
					c.types(t, page, i+1, words)
				}
			}
		}
	}
	if sentences == 0 {
		t.Error("no sentence has a command")
	}
}

var (
	reading  = regexp.MustCompile(`^(bin/k8s/)?kubectl (get|describe|explain|events|logs) `)
	comment  = regexp.MustCompile(`\s+#.*$`)
	logs     = regexp.MustCompile(`^kubectl logs (.*?)( --tail=\d+)?$`)
	template = regexp.MustCompile(`\b[A-Z]{3,}\b`)
)

// spoken is the command that a sentence names, as it can be typed; empty where it names no object.
func spoken(line string) string {
	var words []string
	for word := range strings.FieldsSeq(line) {
		if !strings.HasPrefix(word, "-") {
			words = append(words, word)
		}
	}
	if reading.MatchString(line + " ") {
		if len(words) < 3 { // "kubectl describe it"
			return ""
		}
		return line
	}
	if len(words) <= 3 && !template.MatchString(line) { // "kubectl delete job"
		return ""
	}
	return dryly(line)
}

// dryly has the API server check a command and change nothing. A restart knows no such flag, and nothing here minds one.
func dryly(line string) string {
	if strings.HasPrefix(line, "kubectl rollout restart ") {
		return line
	}
	return line + " --dry-run=server"
}

// lines are a block's commands, one each: those that are broken are whole, and comments are gone.
func lines(text string) []string {
	var found []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		if line = strings.TrimSpace(comment.ReplaceAllString(strings.TrimSpace(line), "")); line != "" {
			found = append(found, line)
		}
	}
	return found
}

// named puts the names of what is there in place of those that a reader fills in.
func named(line string) string {
	names := []string{"MINING", "mining", "NAMESPACE", "ai", "POD", "trial", "NODE", "rack-1", "label node NAME", "label node rack-1"}
	switch {
	case strings.Contains(line, "minerpool"), strings.Contains(line, "/pool="), strings.Contains(line, "statefulset"):
		names = append(names, "-n NAMESPACE", "-n mining", "NAME", "asics")
		names = slices.DeleteFunc(names, func(name string) bool { return name == "ai" || name == "NAMESPACE" })
	case strings.Contains(line, "powerbudget"):
		names = append(names, "NAME", "hall-1")
	default:
		names = append(names, "NAME", "llama")
	}
	for i := 0; i < len(names); i += 2 {
		line = strings.ReplaceAll(line, names[i], names[i+1])
	}
	return line
}

// reads types a line that only reads, and wants something printed.
func (c cluster) reads(t *testing.T, b block, line string) string {
	t.Helper()
	if !reading.MatchString(line) {
		t.Errorf("%s:%d: %q does not only read", b.page, b.line, line)
		return ""
	}
	return c.types(t, b.page, b.line, line)
}

// types types a line. What is asked for has to be there, and every word has to be understood. Of logs, which take a
// kubelet, only that is looked for whose logs they are.
func (c cluster) types(t *testing.T, page string, at int, line string) string {
	t.Helper()
	typed := strings.TrimPrefix(named(line), "bin/k8s/")
	if whose := logs.FindStringSubmatch(typed); whose != nil {
		typed = "kubectl get " + whose[1]
		if !strings.Contains(typed, "/") {
			typed = "kubectl get pod " + whose[1]
		}
	}
	if out, before := c.typed[typed]; before { // a second restart within a second is refused
		return out
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", typed)
	cmd.Dir = c.root
	cmd.Env = clean(c)
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	listing := len(strings.Fields(line)) == 3 // a sentence that names a kind
	if said := complaint.String(); err != nil || said != "" && !(listing && strings.HasPrefix(said, "No resources found")) && !strings.HasPrefix(said, "Warning: ") {
		t.Errorf("%s:%d: %s: %v: %s", page, at, typed, err, said)
	} else if strings.TrimSpace(out.String()) == "" && !listing {
		t.Errorf("%s:%d: %s: prints nothing", page, at, typed)
	}
	c.typed[typed] = out.String()
	return out.String()
}

// shows compares what a page shows with what was printed: of a table its columns, of anything else every word.
func shows(t *testing.T, shown block, line, out string) {
	t.Helper()
	want, got := strings.TrimSpace(shown.text), strings.TrimSpace(out)
	if !strings.Contains(line, "-o jsonpath") {
		want, got = strings.Join(strings.Fields(firstLine(want)), " "), strings.Join(strings.Fields(firstLine(got)), " ")
		got = got[:min(len(got), len(want))] // a page may leave out the last ones
	}
	if got != want {
		t.Errorf("%s:%d: shows %q, %s prints %q", shown.page, shown.line, want, line, got)
	}
}

func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}

// A cluster is an API server, and how a person reaches it.
type cluster struct {
	root, home, path, kubeconfig string
	api                          client.Client
	typed                        map[string]string // what was printed
}

// takes hands the API server every object of ours that a paper shows, under another name.
func (c cluster) takes(t *testing.T) {
	t.Helper()
	taken := 0
	for _, b := range blocks(t) {
		if b.language != "yaml" || !strings.Contains(b.text, "apiVersion: "+powerv1.GroupVersion.String()) {
			continue
		}
		for _, object := range decoded(t, b.text) {
			if object.GetAPIVersion() != powerv1.GroupVersion.String() {
				continue
			}
			taken++
			object.SetName("shown-" + object.GetName())
			if err := c.api.Create(t.Context(), object, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
		}
	}
	if taken == 0 {
		t.Error("no paper shows an object")
	}
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	var env *envtest.Environment
	config, stop := testenv.Start(t, func(e *envtest.Environment) { env = e })
	t.Cleanup(stop)
	api := fill(t, config)
	user, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	must(t, err)
	login, err := user.KubeConfig()
	must(t, err)
	c := cluster{api: api, root: path(t, ""), home: t.TempDir(), typed: map[string]string{}}
	c.kubeconfig, c.path = filepath.Join(c.home, "kubeconfig"), filepath.Join(c.home, "bin")
	must(t, os.WriteFile(c.kubeconfig, login, 0o600))
	must(t, os.Mkdir(c.path, 0o700))
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = path(t, "bin/k8s")
	}
	must(t, os.Symlink(filepath.Join(assets, "kubectl"), filepath.Join(c.path, "kubectl")))
	return c
}
