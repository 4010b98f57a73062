package agent

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/metric"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Metrics of one agent. A nil Metrics counts nothing.
type Metrics struct {
	devices    *prometheus.GaugeVec
	watts      []wattsGauge
	epoch      prometheus.Gauge
	pollErrors prometheus.Counter
	orders     *prometheus.CounterVec
}

// wattsGauge is one sum over the agent's devices.
type wattsGauge struct {
	gauge prometheus.Gauge
	of    func(lease.Report) lease.Watts
}

// conditions are all the values of the label state, so that each is there from the start.
var conditions = []fit.Condition{
	fit.IsHashing, fit.IsSleeping, fit.IsStarting, fit.IsStopping, fit.IsFailed, fit.IsUnreadable,
	fit.IsUnreachable, fit.IsStuck,
}

// MetricDefinitions is every metric of an agent's own.
func MetricDefinitions() []metric.Definition {
	var t metric.Table
	newMetrics(&t)
	return t.Definitions()
}

// NewMetrics registers an agent's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	var t metric.Table
	m, all := newMetrics(&t)
	r.MustRegister(all...)
	for _, c := range conditions {
		m.devices.WithLabelValues(string(c)).Set(0)
	}
	return m
}

func newMetrics(t *metric.Table) (*Metrics, []prometheus.Collector) {
	devices := t.GaugeVec("counterweight_miner_agent_devices",
		"Devices found, by state: Hashing, Sleeping, Starting, Stopping, Failed, Unreadable, Unreachable or Stuck.", "state")
	epoch := t.GaugeVec("counterweight_miner_agent_epoch", "Number of the newest operator leader met; 0 before one.")
	pollErrors := t.CounterVec("counterweight_miner_agent_poll_errors_total", "Polls of devices that failed.")
	orders := t.CounterVec("counterweight_miner_agent_orders_total",
		"Settings sent to devices, by kind and by what was answered: Accepted, Refused or Unknown (it may have happened). Whether a machine did it is its state.",
		"kind", "result")
	m := &Metrics{devices: devices, epoch: epoch.WithLabelValues(), pollErrors: pollErrors.WithLabelValues(), orders: orders}
	all := []prometheus.Collector{devices, epoch, pollErrors, orders}
	for _, w := range []struct {
		what, help string
		of         func(lease.Report) lease.Watts
	}{
		{"draw", "Watts that this agent's devices draw, as measured.", func(r lease.Report) lease.Watts { return r.Draw }},
		{"bound", "The most that this agent's devices can draw with no further command.", func(r lease.Report) lease.Watts { return r.Bound }},
		{"lease", "Lease in force; 0 where there is none.", func(r lease.Report) lease.Watts { return r.LeaseWatts }},
		{"floor", "Watts of this agent's devices if every one slept.", func(r lease.Report) lease.Watts { return r.Floor }},
		{"rated", "The most that this agent's devices can draw.", func(r lease.Report) lease.Watts { return r.Rated }},
		{"volatile", "Watts kept down only by sleeps that a reboot of the machine would undo.", func(r lease.Report) lease.Watts { return r.Volatile }},
	} {
		vec := t.GaugeVec("counterweight_miner_agent_"+w.what+"_watts", w.help)
		m.watts, all = append(m.watts, wattsGauge{vec.WithLabelValues(), w.of}), append(all, vec)
	}
	return m, all
}

func (m *Metrics) pollFailed() {
	if m != nil {
		m.pollErrors.Inc()
	}
}

func (m *Metrics) ordered(kind fit.Kind, err error) {
	if m == nil {
		return
	}
	result := "Accepted"
	switch {
	case err != nil && (errors.Is(err, errLate) || miner.NotApplied(err)):
		result = "Refused"
	case err != nil:
		result = "Unknown"
	}
	m.orders.WithLabelValues(string(settingOf(fit.Setting{Kind: kind}).Kind), result).Inc()
}

func (m *Metrics) observe(r lease.Report, counts map[fit.Condition]int) {
	if m == nil {
		return
	}
	for _, c := range conditions {
		m.devices.WithLabelValues(string(c)).Set(float64(counts[c]))
	}
	for _, w := range m.watts {
		w.gauge.Set(float64(w.of(r)))
	}
	m.epoch.Set(float64(r.Epoch))
}
