package braiins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// machine is a tiny Braiins OS that replays recorded shapes.
type machine struct {
	wiretest.Machine
	password string
}

// Recorded replies: 25.11 on an S19 XP whose firmware lowered its own target.
func s19xp() *machine {
	m := &machine{password: "root"}
	m.Machine = wiretest.Machine{
		Root: "/api/v1/", Login: "auth/login", Admit: m.login, Act: m.echo,
		Open:     []string{"version"},
		Shown:    func(header http.Header) string { return header.Get("Authorization") },
		Statuses: map[string]int{},
		Replies: map[string]string{
			"version": `{"major":1,"minor":0,"patch":0}`,
			"miner/details": `{"uid":"u1","miner_identity":{"brand":1,"model":8,"name":"","miner_model":"Antminer S19 XP"},
				"platform":2,"bos_mode":3,"bos_version":{"current":"2025-11-26-0-ab12cd34-25.11-plus","major":"25.11","bos_plus":true},
				"hostname":"miner-1","mac_address":"7C:07:6A:11:22:33","system_uptime":"1d","system_uptime_s":86461,"bosminer_uptime_s":84000,
				"sticker_hashrate":{"gigahash_per_second":140000.0},"status":2,"serial_number":"JYZZAEABCJJAA01A2"}`,
			"miner/stats": `{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":114250.5},
				"last_1m":{"gigahash_per_second":114000.1}}},"power_stats":{"approximated_consumption":{"watt":2472},
				"efficiency":{"joule_per_terahash":21.6}}}`,
			"performance/tuner-state": `{"overall_tuner_state":2,"mode_state":{"powertargetmodestate":{"current_target":{"watt":2431},
				"profile":{"created":null,"target":{"watt":2431},"estimated_power_consumption":{"watt":2472}}}}}`,
			"configuration/constraints": `{"tuner_constraints":{"power_target":{"min":{"watt":945},"max":{"watt":5500},"default":{"watt":3031}}}}`,
			"configuration/miner":       `{"tuner":{"tuner_mode":1,"power_target":{"watt":3031}},"pool_groups":[]}`,
			"cooling/state":             `{"fans":[],"highest_temperature":{"location":1,"temperature":{"degree_c":78.5}}}`,
			"miner/errors":              `{"errors":[{"timestamp":"2025-12-01T10:00:00Z","message":"PSU shutdown detected","error_codes":[]}]}`,
			"actions/pause":             `true`,
			"actions/resume":            `true`,
			"actions/start":             `true`,
		},
	}
	return m
}

func (m *machine) login(body []byte, token string) (int, string) {
	var in struct{ Username, Password string }
	if json.Unmarshal(body, &in) != nil || in.Username != "root" || in.Password != m.password {
		return http.StatusUnauthorized, ""
	}
	return http.StatusOK, fmt.Sprintf(`{"token":%q,"timeout_s":3600}`, token)
}

// echo is how the machine takes a target it has no other reply for.
func (m *machine) echo(key string, body []byte) (string, bool) {
	_, other := m.Replies["performance/power-target"]
	return string(body), key == "PUT performance/power-target" && !other
}

// identified is a driver that knows its machine, and the machine with an empty list of requests.
func identified(t *testing.T, m *machine) *Driver {
	t.Helper()
	d := New(wiretest.Serve(t, m))
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Taken()
	return d
}
