package handover

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The controller's own time of each pass.
const (
	passes = "controller_runtime_reconcile_time_seconds_"
	ofSite = `{controller="site"}`
)

// scrape reads the operator's metrics, each by its name and labels as they are written.
func (s *site) scrape(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.metrics+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("reading the operator's metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading the operator's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	return parseMetrics(response.Body)
}

func parseMetrics(text io.Reader) (map[string]float64, error) {
	out := map[string]float64{}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil { // help texts are no numbers
			out[name] = v
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the operator's metrics: %w", err)
	}
	return out, nil
}
