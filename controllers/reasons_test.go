package controllers

import (
	"os"
	"path/filepath"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/counterweight-dev/counterweight/internal/testenv"
)

var _ = Describe("Reasons", func() {
	It("are all explained to people", func() {
		root, err := testenv.Root()
		Expect(err).NotTo(HaveOccurred())
		read := func(path ...string) string {
			data, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
			Expect(err).NotTo(HaveOccurred())
			return string(data)
		}
		docs := read("docs", "troubleshooting.md")
		reasons := regexp.MustCompile(`(?m)^\tReason\w+ += "(\w+)"$`).FindAllStringSubmatch(read("api", "v1alpha1", "conditions.go"), -1)
		Expect(len(reasons)).To(BeNumerically(">", 50))
		for _, r := range reasons {
			Expect(docs).To(ContainSubstring("`"+r[1]+"`"), "docs/troubleshooting.md says nothing of %s", r[1])
		}
	})
})
