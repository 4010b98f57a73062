package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	var r Report
	r.AtMost("fast", 2, 2, "ms")
	r.AtMost("slow", 2.001, 2, "ms")
	if !r.Targets[0].Met || r.Targets[1].Met {
		t.Errorf("%+v", r.Targets)
	}
	var table strings.Builder
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(table.String(), "\n")
	if !strings.Contains(lines[1], " met") || !strings.Contains(lines[2], "MISSED") || !strings.Contains(lines[2], "2.001") {
		t.Errorf("table:\n%s", table.String())
	}
	path := filepath.Join(t.TempDir(), "bench", "report.json")
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil || len(fields["targets"].([]any)) != 2 {
		t.Errorf("%v in %s", err, data)
	}
	if _, there := fields["decide"]; there {
		t.Error("a part that was not run is in the file")
	}
}
