package agent

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterweight-dev/counterweight/internal/fit"
	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Metrics of one agent. A nil Metrics counts nothing.
type Metrics struct {
	devices    *prometheus.GaugeVec
	watts      *prometheus.GaugeVec
	epoch      prometheus.Gauge
	pollErrors prometheus.Counter
	orders     *prometheus.CounterVec
}

// conditions are all the values of the label state, so that each is there from the start.
var conditions = []fit.Condition{
	fit.IsHashing, fit.IsSleeping, fit.IsStarting, fit.IsStopping, fit.IsFailed, fit.IsUnreadable,
	fit.IsUnreachable, fit.IsStuck,
}

// NewMetrics registers an agent's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		devices: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "counterweight_agent_devices", Help: "Devices found, by state.",
		}, []string{"state"}),
		watts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "counterweight_agent_watts",
			Help: "Watts of this agent's devices: draw (measured), bound (the most with no further command), " +
				"lease (in force), floor (all asleep), rated (the most they can draw), volatile (kept down only by " +
				"sleeps that a reboot undoes).",
		}, []string{"kind"}),
		epoch: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "counterweight_agent_epoch", Help: "Number of the newest operator leader met; 0 before one.",
		}),
		pollErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "counterweight_agent_poll_errors_total", Help: "Polls of devices that failed.",
		}),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "counterweight_agent_orders_total",
			Help: "Settings sent to devices, by kind and by result: Accepted, Refused or Unknown (it may have happened).",
		}, []string{"kind", "result"}),
	}
	r.MustRegister(m.devices, m.watts, m.epoch, m.pollErrors, m.orders)
	for _, c := range conditions {
		m.devices.WithLabelValues(string(c)).Set(0)
	}
	return m
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
	for kind, w := range map[string]lease.Watts{
		"draw": r.Draw, "bound": r.Bound, "lease": r.LeaseWatts, "floor": r.Floor, "rated": r.Rated, "volatile": r.Volatile,
	} {
		m.watts.WithLabelValues(kind).Set(float64(w))
	}
	m.epoch.Set(float64(r.Epoch))
}
