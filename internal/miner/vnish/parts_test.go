package vnish

import (
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// What was kept of a machine has neither its page nor a login.
func TestWithoutALogin(t *testing.T) {
	m := s21pro()
	target := wiretest.Kept(t, "/api/v1/", map[string]string{
		"info": strings.Replace(m.Replies["GET info"], `"1:55"`, `"23 min"`, 1),
		"summary": `{"miner":{"miner_status":{"miner_state":"mining"},"hr_realtime":97000.5,"power_usage":2699,` +
			`"chains":[{"id":1,"chip_temp":{"min":50,"max":66}},{"id":2,"chip_temp":{"min":51,"max":68}}]}}`,
	})
	if err := Probe(t.Context(), target); err != nil {
		t.Error(err)
	}
	d := New(target)
	id, err := d.Identify(t.Context())
	if err != nil || id.Model != "Antminer S21 Pro" || id.FirmwareVersion != "1.2.7" || id.MAC == "" {
		t.Fatalf("%+v, %v", id, err)
	}
	r, err := d.Read(t.Context())
	if err != nil || r.State != miner.Hashing || *r.HashrateTHs != 97.0005 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Watts == nil || *r.Watts != 2699 || r.WattsSource != miner.Estimate || r.TemperatureC == nil || *r.TemperatureC != 68 {
		t.Errorf("%+v", r)
	}
	if r.Uptime == nil || *r.Uptime != 23*time.Minute {
		t.Errorf("up for %v", r.Uptime)
	}
}

// Under one of its names, watts may be an efficiency.
func TestEfficiencyIsNoDraw(t *testing.T) {
	m := s19()
	d := identified(t, m)
	m.Replies["GET summary"] = `{"miner":{"miner_status":{"miner_state":"mining"},"hr_realtime":97000.5,"power_usage":27.9}}`
	if r, err := d.Read(t.Context()); err != nil || r.Watts != nil || r.WattsSource != "" {
		t.Errorf("%+v, %v", r, err)
	}
}
