// Package metric is the form in which a process says what it exports: a table of definitions, from which both
// its collectors and docs/metrics.md are made, so that the two can't differ. It measures nothing itself.
package metric

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind of a metric, as Prometheus calls it.
type Kind string

// The kinds that are used.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Definition is one metric: its name with the base unit at the end, what it says in one sentence, and the
// labels that tell its series apart.
type Definition struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string

	desc    *prometheus.Desc
	counted bool // as things happen, by a collector of its own
}

// Table is every metric of one process, in the order in which they are defined.
type Table struct{ all []*Definition }

// Definitions answers the table sorted by name.
func (t *Table) Definitions() []Definition {
	out := make([]Definition, len(t.all))
	for i, d := range t.all {
		out[i] = *d
	}
	slices.SortFunc(out, func(a, b Definition) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Describe sends what is shown when it is asked for; what is counted as things happen describes itself.
func (t *Table) Describe(out chan<- *prometheus.Desc) {
	for _, d := range t.all {
		if !d.counted {
			out <- d.desc
		}
	}
}

// Gauge defines a gauge.
func (t *Table) Gauge(name, help string, labels ...string) *Definition {
	return t.add(name, Gauge, help, labels)
}

// Counter defines a counter.
func (t *Table) Counter(name, help string, labels ...string) *Definition {
	return t.add(name, Counter, help, labels)
}

// HistogramVec defines a histogram and makes it.
func (t *Table) HistogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	t.add(name, Histogram, help, labels).counted = true
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// GaugeVec defines a gauge and makes it.
func (t *Table) GaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	t.add(name, Gauge, help, labels).counted = true
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// CounterVec defines a counter and makes it.
func (t *Table) CounterVec(name, help string, labels ...string) *prometheus.CounterVec {
	t.add(name, Counter, help, labels).counted = true
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (t *Table) add(name string, kind Kind, help string, labels []string) *Definition {
	d := &Definition{Name: name, Kind: kind, Help: help, Labels: labels, desc: prometheus.NewDesc(name, help, labels, nil)}
	t.all = append(t.all, d)
	return d
}

// At is one series of a gauge or a counter as it stands; labels are the values of Labels, in their order.
func (d *Definition) At(value float64, labels ...string) prometheus.Metric {
	kind := prometheus.GaugeValue
	if d.Kind == Counter {
		kind = prometheus.CounterValue
	}
	return prometheus.MustNewConstMetric(d.desc, kind, value, labels...)
}
