package agent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// Whoever reaches an agent's page reads its metrics, so they hold sums and counts and nothing else.
func TestMetricsAreSumsAndCounts(t *testing.T) {
	const address, secret = "10.20.0.17", "sesame"
	registry := prometheus.NewPedanticRegistry()
	m := NewMetrics(registry)
	m.observe(lease.Report{
		Epoch: 7, LeaseWatts: 1, Bound: 2, Draw: 3, Floor: 4, Rated: 5, Volatile: 6,
		PriorSettings: map[string]string{address: secret}, Troubles: []lease.Trouble{{Address: address, Reason: "Stuck", Message: secret}},
	}, map[fit.Condition]int{fit.IsStuck: 2})
	m.pollFailed()
	m.ordered(fit.Sleep, nil)
	m.ordered(fit.Sleep, fmt.Errorf("%s with %s: %w", address, secret, errLate))
	m.ordered(fit.Sleep, errors.New("no answer of "+address))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("named against Prometheus's rules: %v, %v", problems, err)
	}
	got, names := map[string]float64{}, map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
		for _, series := range f.Metric {
			name := strings.TrimPrefix(f.GetName(), "counterweight_miner_agent_")
			for _, l := range series.Label {
				name += " " + l.GetValue()
			}
			if v := series.GetGauge().GetValue() + series.GetCounter().GetValue(); v != 0 {
				got[name] = v
			}
		}
		if text := f.String(); strings.Contains(text, address) || strings.Contains(text, secret) {
			t.Errorf("tells what is nobody's business: %s", text)
		}
	}
	if diff := cmp.Diff(map[string]float64{
		"epoch": 7, "lease_watts": 1, "bound_watts": 2, "draw_watts": 3, "floor_watts": 4, "rated_watts": 5, "volatile_watts": 6,
		"devices Stuck": 2, "poll_errors_total": 1, "orders_total Sleep Accepted": 1, "orders_total Sleep Refused": 1, "orders_total Sleep Unknown": 1,
	}, got); diff != "" {
		t.Error(diff)
	}
	defined := map[string]bool{}
	for _, d := range MetricDefinitions() {
		defined[d.Name] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(defined)), slices.Sorted(maps.Keys(names))); diff != "" {
		t.Errorf("defined and shown differ: %s", diff)
	}
}
