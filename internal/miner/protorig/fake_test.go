package protorig

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// machine is a tiny Proto Rig.
type machine struct {
	wiretest.Machine
	password string
	// takes says what a target becomes; nil takes it as it is.
	takes func(watts int64) int64
	// mute leaves the target out of the answer to a new one.
	mute bool
}

const (
	systemText = `{"system-info":{"product_name":"Proto Rig","manufacturer":"Proto","model":"Rig","board":"C3","cb_sn":"YWWLMMMMRRFSSSSS",
		"soc":"STM32MP157F","uptime_seconds":300,"os":{"name":"ProtoOS","version":"1.8.0","variant":"release","git_hash":"abc123def456"},
		"sw_update_status":{"status":"current"},"web_server":{"name":"miner-api-server","version":"1.8.0"}}}`
	targetText = `{"power_target_watts":3120,"performance_mode":"Efficiency","balance_bays":true,"power_target_min_watts":2000,
		"power_target_max_watts":4000,"default_power_target_watts":3400,"hash_on_disconnect":false}`
	telemetryText = `{"timestamp":"2026-01-15T14:30:00Z","miner":{"hashrate":{"value":140.5,"unit":"TH/s"},"temperature":{"value":55.5,"unit":"°C"},
		"power":{"value":3250,"unit":"W"},"efficiency":{"value":24.3,"unit":"J/TH"}},
		"hashboards":[{"index":0,"serial_number":"HB001","hashrate":{"value":31.8,"unit":"TH/s"},"temperature":{"unit":"°C","inlet":45.2,"outlet":68.5,"average":56.75}},
			{"index":1,"temperature":{"unit":"°C","average":61.25}}],
		"psus":[{"index":0,"power":{"unit":"W","input":1740.2,"output":1625}},{"index":1,"power":{"unit":"W","input":1740,"output":1625}}]}`
)

func miningText(status string) string {
	return fmt.Sprintf(`{"mining-status":{"status":%q,"mining_uptime_s":521,"reboot_uptime_s":86461,"average_hashrate_ghs":110000.2,
		"ideal_hashrate_ghs":145000,"power_usage_watts":3100,"power_target_watts":3000,"average_hb_temp_c":60,"hw_errors":0,
		"hashboards_installed":4,"hashboards_mining":4}}`, status)
}

func telemetryOf(ths, watts, input string) string {
	return fmt.Sprintf(`{"timestamp":"x","miner":{"hashrate":{"value":%s,"unit":"TH/s"},"power":{"value":%s,"unit":"W"}},
		"psus":[{"index":0,"power":{"unit":"W","input":%s,"output":1}}]}`, ths, watts, input)
}

func rig() *machine {
	m := &machine{password: "correct horse"}
	m.Machine = wiretest.Machine{
		Root: "/api/v1/", Login: "auth/login", Admit: m.login, Act: m.act,
		Open:     []string{"system", "pairing/info", "network"},
		Shown:    func(header http.Header) string { return strings.TrimPrefix(header.Get("Authorization"), "Bearer ") },
		Statuses: map[string]int{"POST mining/stop": 0, "POST mining/start": 0},
		Replies: map[string]string{
			"system":             systemText,
			"pairing/info":       `{"mac":"82:11:D2:94:0D:6D","cb_sn":"YWWLMMMMRRFSSSSS"}`,
			"network":            `{"network-info":{"hostname":"proto-miner-1","mac_address":"82:11:D2:94:0D:6E","dhcp":true}}`,
			"mining":             miningText("Mining"),
			"mining/target":      targetText,
			"telemetry":          telemetryText,
			"errors":             `[]`,
			"curtailment/status": `{"active":true,"known":true,"reason":"target_off","target":0,"restore_pending":true}`,
		},
	}
	return m
}

// asleep is a machine that was told to stop.
func (m *machine) asleep() *machine {
	m.Replies["mining"] = miningText("Stopped")
	m.Replies["telemetry"] = telemetryOf("0", "31", "48.5")
	return m
}

func (m *machine) login(body []byte, token string) (int, string) {
	var in struct{ Password string }
	if json.Unmarshal(body, &in) != nil || in.Password != m.password {
		return http.StatusUnauthorized, ""
	}
	return http.StatusOK, fmt.Sprintf(`{"access_token":%q,"refresh_token":"r"}`, token)
}

func (m *machine) act(key string, body []byte) (string, bool) {
	switch key {
	case "POST mining/stop":
		m.asleep()
		return `{"message":"Mining stopped"}`, true
	case "POST mining/start":
		m.Replies["mining"] = miningText("PoweringOn")
		return `{"message":"Mining started"}`, true
	case "PUT mining/target":
		return m.retarget(body), true
	}
	return "", false
}

func (m *machine) retarget(body []byte) string {
	var in struct {
		Watts int64 `json:"power_target_watts"`
	}
	if json.Unmarshal(body, &in) != nil {
		return `{"error":{"code":"INVALID_REQUEST","message":"Invalid request body"}}`
	}
	if m.takes != nil {
		in.Watts = m.takes(in.Watts)
	}
	m.Replies["mining/target"] = strings.Replace(targetText, "3120", fmt.Sprint(in.Watts), 1)
	if m.mute {
		return `{"message":"ok"}`
	}
	return m.Replies["mining/target"]
}

// open is a driver that has sent nothing.
func open(t testing.TB, m *machine) *Driver {
	t.Helper()
	target := wiretest.Serve(t, m)
	target.Password = "correct horse"
	return New(target)
}

// identified is a driver that knows its machine, and the machine with an empty list of requests.
func identified(t testing.TB, m *machine) *Driver {
	t.Helper()
	d := open(t, m)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Taken()
	return d
}

func reads(ctx context.Context, d *Driver) error {
	_, err := d.Read(ctx)
	return err
}

// refuses has the machine answer some requests with a status and a body.
func (m *machine) refuses(suffix string, status int, body string) {
	m.Before = func(w http.ResponseWriter, r *http.Request) bool {
		meant := strings.HasSuffix(r.URL.Path, suffix)
		if meant {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
		return meant
	}
}
