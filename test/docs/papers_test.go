package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/testenv"
)

// typed are the blocks that other tests type, by their page: the name of each stands in that test.
var typed = map[string]string{
	"README.md":          "test/chart/install_page_test.go", // the same commands, see below
	"docs/install.md":    "test/chart/install_page_test.go",
	"docs/first-site.md": "test/chart/first_site_page_test.go",
}

// A block is what stands between fences on a page.
type block struct {
	page, language, name string
	line                 int
	text                 string
	before               string // the line before it that is not empty
}

var notRun = regexp.MustCompile(`^<!-- not run: \S.* -->$`)

// command is how a line of commands begins.
var command = regexp.MustCompile(`(?m)^\s*(\$ |sudo |(kubectl|helm|make|go|git|docker|buildah|bin/\S+|miner-agent|asic-sim|operator|rehearse|curl|python3|flux|argocd) +[a-z0-9-])`)

// Every block of commands is typed by a test, or the comment above it says why not: <!-- not run: why -->.
func TestEveryBlockIsTypedOrSaysWhyNot(t *testing.T) {
	names := 0
	for _, b := range blocks(t) {
		if b.language != "sh" {
			if !slices.Contains([]string{"text", "yaml", "mermaid"}, b.language) {
				t.Errorf("%s:%d: the block says no language that is known: sh, text, yaml or mermaid", b.page, b.line)
			}
			if b.language == "text" && command.MatchString(b.text) {
				t.Errorf("%s:%d: commands in a block of text: make it sh", b.page, b.line)
			}
			if b.language == "text" && notRun.MatchString(b.before) {
				t.Errorf("%s:%d: a reason not to run what is no command", b.page, b.line)
			}
			continue
		}
		marked := notRun.MatchString(b.before)
		switch b.name {
		case "":
			if !marked {
				t.Errorf("%s:%d: no test types this block, and no comment above it says why: <!-- not run: ... -->", b.page, b.line)
			}
			continue
		case "read", "dry":
		default:
			names++
			if test := typed[b.page]; test == "" || !strings.Contains(text(t, test), `"`+b.name+`"`) {
				t.Errorf("%s:%d: no test is known to type block %q", b.page, b.line, b.name)
			}
		}
		if marked {
			t.Errorf("%s:%d: block %q is typed by a test, and the comment above it says that it is not", b.page, b.line, b.name)
		}
	}
	if names == 0 {
		t.Error("no block is found that has a name")
	}
}

// The README installs with the commands that the test of docs/install.md types.
func TestTheReadmeInstallsAsThePageDoes(t *testing.T) {
	named := map[string]string{}
	for _, b := range blocks(t) {
		if b.language == "sh" && b.name == "helm" {
			named[b.page] = strings.Join(strings.Fields(strings.ReplaceAll(b.text, "\\\n", "")), " ")
		}
	}
	if len(named) != 2 || named["README.md"] != named["docs/install.md"] {
		t.Errorf("the pages differ: %q", named)
	}
}

// blocks are those of every paper.
func blocks(t *testing.T) []block {
	t.Helper()
	var found []block
	for _, page := range papers(t) {
		var before string
		var open *block
		for i, line := range strings.Split(text(t, page), "\n") {
			trimmed := strings.TrimSpace(line)
			switch info, fence := strings.CutPrefix(trimmed, "```"); {
			case fence && open != nil:
				found = append(found, *open)
				open, before = nil, ""
			case fence:
				words := append(strings.Fields(info), "", "")
				open = &block{page: page, line: i + 1, language: words[0], name: words[1], before: before}
			case open != nil:
				open.text += line + "\n"
			case trimmed != "":
				before = trimmed
			}
		}
		if open != nil {
			t.Errorf("%s:%d: a block that does not end", page, open.line)
		}
	}
	return found
}

// papers are the pages for people, by their paths from the root.
func papers(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	err := filepath.WalkDir(path(t, "docs"), func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".md") {
			pages = append(pages, strings.TrimPrefix(name, path(t, "")+"/"))
		}
		return err
	})
	if err != nil || len(pages) < 10 {
		t.Fatal("no papers", err)
	}
	return pages
}

func path(t *testing.T, name string) string {
	t.Helper()
	root, err := testenv.Root()
	must(t, err)
	return filepath.Join(root, name)
}

func text(t *testing.T, name string) string {
	t.Helper()
	out, err := os.ReadFile(path(t, name))
	must(t, err)
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
