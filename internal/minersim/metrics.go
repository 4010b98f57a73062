package minersim

import "github.com/prometheus/client_golang/prometheus"

var (
	wattsDesc = prometheus.NewDesc("asic_sim_watts",
		"True draw at the wall, in watts.", []string{"group", "budget"}, nil)
	hashDesc = prometheus.NewDesc("asic_sim_terahashes_per_second",
		"True hashrate, in TH/s.", []string{"group", "budget"}, nil)
	devicesDesc = prometheus.NewDesc("asic_sim_devices",
		"Simulated devices by what they physically do and how they misbehave.",
		[]string{"group", "state", "persona"}, nil)
	rebootsDesc = prometheus.NewDesc("asic_sim_reboots_total",
		"Reboots since the simulation began.", []string{"group"}, nil)
)

// collector reads the truth when it is scraped.
type collector struct{ fleet *Fleet }

// Describe names the metrics.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{wattsDesc, hashDesc, devicesDesc, rebootsDesc} {
		ch <- d
	}
}

// Collect sums the devices of each group.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	type kind struct {
		group   string
		state   State
		persona Persona
	}
	type sums struct {
		watts, hashes, reboots float64
		budget                 string
	}
	kinds, groups := map[kind]float64{}, map[string]*sums{}
	for _, d := range c.fleet.Devices {
		t := d.Truth()
		kinds[kind{t.Group, t.State, t.Persona}]++
		s, ok := groups[t.Group]
		if !ok {
			s = &sums{budget: t.Budget}
			groups[t.Group] = s
		}
		s.watts, s.hashes, s.reboots = s.watts+t.Watts, s.hashes+t.TeraHashes, s.reboots+float64(t.Reboots)
	}
	for k, n := range kinds {
		ch <- prometheus.MustNewConstMetric(devicesDesc, prometheus.GaugeValue, n, k.group, string(k.state), string(k.persona))
	}
	for g, s := range groups {
		ch <- prometheus.MustNewConstMetric(wattsDesc, prometheus.GaugeValue, s.watts, g, s.budget)
		ch <- prometheus.MustNewConstMetric(hashDesc, prometheus.GaugeValue, s.hashes, g, s.budget)
		ch <- prometheus.MustNewConstMetric(rebootsDesc, prometheus.CounterValue, s.reboots, g)
	}
}
