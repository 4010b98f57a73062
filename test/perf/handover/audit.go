package handover

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// auditPolicy has the API server write down every write, who made it and of what.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

// Writes by what was written, such as "patch pods" or "update gpuworkloads/status".
type Writes map[string]int

// Total of all writes.
func (w Writes) Total() (n int) {
	for _, v := range w {
		n += v
	}
	return n
}

// String lists them by name.
func (w Writes) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(w)) {
		parts = append(parts, fmt.Sprintf("%d %s", w[k], k))
	}
	return strings.Join(parts, ", ")
}

// less is what came on top of before.
func (w Writes) less(before Writes) Writes {
	out := Writes{}
	for k, v := range w {
		if v > before[k] {
			out[k] = v - before[k]
		}
	}
	return out
}

// entry of the audit log, as far as it matters.
type entry struct {
	Verb      string
	UserAgent string
	ObjectRef struct{ Resource, Subresource, APIGroup string }
}

// operatorAgent is how the operator's requests begin to name their sender: the name of its binary.
const operatorAgent = "operator/"

// writesOf counts the operator's writes in an audit log, the election's Lease aside.
func writesOf(log io.Reader) (Writes, error) {
	out := Writes{}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			break // the last line is still being written
		}
		if !strings.HasPrefix(e.UserAgent, operatorAgent) || (e.ObjectRef.Resource == "leases" && e.ObjectRef.APIGroup == "coordination.k8s.io") {
			continue
		}
		what := e.Verb + " " + e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			what += "/" + e.ObjectRef.Subresource
		}
		out[what]++
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return out, nil
}

func (s *site) writes() (Writes, error) {
	log, err := os.Open(s.auditLog)
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	defer func() { _ = log.Close() }()
	return writesOf(log)
}
