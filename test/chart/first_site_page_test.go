package chart

import (
	"os"
	"path/filepath"
	"testing"
)

// The commands of docs/first-site.md do what it says, but for those that the page marks. The operator and the machines are
// not there: what they would say is not looked for.
func TestTheFirstSitePage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bin")
	must(t, os.MkdirAll(path, 0o700))
	must(t, os.Symlink(tool("helm"), filepath.Join(path, "helm")))
	must(t, os.Symlink(kubernetes("kubectl"), filepath.Join(path, "kubectl")))
	page, err := os.ReadFile(filepath.Join(root, "docs", "first-site.md"))
	must(t, err)

	fresh(t)
	for _, block := range []string{"first-install", "first-miners", "first-site", "first-gate", "first-away"} {
		runs(t, path, string(page), block)
	}
	forget(t)
}
