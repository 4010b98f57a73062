package vnish

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

// machine is a tiny VNish that replays recorded shapes.
type machine struct {
	wiretest.Machine
	password string
	// keeps is a machine that says yes to a preset and keeps the old one.
	keeps bool
}

const page = `<!DOCTYPE html>
<html lang="en" data-animation="false">
  <head>
    <meta charset="UTF-8">
    <meta name="viewport" content="width=device-width,initial-scale=1.0">
    <meta name="firmware" content="AnthillOS">
    <title>Firmware</title>
  </head>
  <body><div id="app"></div></body>
</html>`

func switcherText(enabled bool) string {
	return fmt.Sprintf(`{"enabled":%t,"top_preset":"4690","decrease_temp":75,"rise_temp":55,"check_time":300,`+
		`"autochange_top_preset":true,"ignore_fan_speed":false,"min_preset":"2550","power_delta":0}`, enabled)
}

func settingsText(preset string, enabled bool) string {
	return fmt.Sprintf(`{"miner":{"cooling":{"mode":{"name":"auto","param":65}},"misc":{"restart_temp":90,"remain_stopped_on_reboot":true},
		"overclock":{"modded_psu":false,"preset":%q,"globals":{"volt":1270,"freq":555},
		"chains":[{"freq":555,"chips":[0,0],"disabled":false},{"freq":555,"chips":[0,0],"disabled":true}],"preset_switcher":%s},
		"pools":[{"url":"pool.example:3333","user":"worker","pass":"p00l-pass"}]},"network":{"hostname":"Antminer"},"password":null}`,
		preset, switcherText(enabled))
}

func perfText(preset, status string, enabled bool) string {
	return fmt.Sprintf(`{"current_preset":{"name":%q,"pretty":"x watt ~ 188 TH","status":%q,"modded_psu_required":false},"preset_switcher":%s}`,
		preset, status, switcherText(enabled))
}

// summaryOf is the recorded summary of an S21 Pro with another state, hash rate (GH/s) and draw (W).
func summaryOf(state, ghs, watts string) string {
	return fmt.Sprintf(`{"miner":{"miner_status":{"miner_state":%q,"miner_state_time":4422},"miner_type":"Antminer S21 Pro (Vnish 1.2.7)",
		"hr_stock":237088.0,"average_hashrate":174.37476,"instant_hashrate":173.87094,"hr_realtime":%s,"hr_nominal":196517.17,
		"hr_average":174374.75,"pcb_temp":{"min":39,"max":50},"chip_temp":{"min":54,"max":65},"power_consumption":%s,"power_usage":2583,
		"power_efficiency":14.812924,"pools":[{"id":0,"url":"pool.example:3333","user":"worker","status":"active"}],
		"chains":[{"id":1,"frequency":495.0,"voltage":13000,"power_consumption":861,"status":{"state":"mining"}}],
		"psu":{"temps":{"pfc_temp":44},"psu_power_metering":true}}}`, state, ghs, watts)
}

// Recorded replies: an S21 Pro with 1.2.7, whose switcher moved it from the preset 3160 that is set to
// 2800, which it was tuning for more than an hour. Every preset was untuned.
func s21pro() *machine {
	var presets []string
	for _, p := range []string{"2550 170", "2800 188", "3160 212", "3520 236", "4690 313"} {
		watts, ths, _ := strings.Cut(p, " ")
		presets = append(presets, fmt.Sprintf(`{"name":%q,"pretty":"%s watt ~ %s TH","status":"untuned","modded_psu_required":false}`, watts, watts, ths))
	}
	first := `{"name":"disabled","pretty":"Disabled","status":"untuned","modded_psu_required":false,"tune_settings":{"hashrate":0,"volt":13000,"freq":495,` +
		`"chains":[{"freq":0,"chips":[0,0]},{"freq":0,"chips":[0,0]}],"modified":true}}`
	m := &machine{password: "admin"}
	m.Machine = wiretest.Machine{
		Root: "/api/v1/", Login: "unlock", Admit: m.unlock, Act: m.take,
		Open:     []string{"/", "info", "status", "perf-summary"},
		Shown:    func(header http.Header) string { return strings.TrimPrefix(header.Get("Authorization"), "Bearer ") },
		Statuses: map[string]int{},
		Replies: map[string]string{
			"GET /": page,
			"GET info": `{"miner":"Antminer S21 Pro","model":"s21pro","fw_name":"Vnish","fw_version":"1.2.7","build_name":"vnishus",
				"platform":"aml","install_type":"nand","algorithm":"sha256d","hr_measure":"GH/s","system":{"os":"GNU/Linux","miner_name":"s21pro",
				"network_status":{"mac":"02:95:23:B3:E0:79","dhcp":true,"hostname":"Antminer"},"uptime":"1:55"},"serial":"N/A"}`,
			"GET status":           `{"miner_state":"auto-tuning","miner_state_time":4422,"find_miner":false,"restart_required":false,"reboot_required":false,"unlocked":false}`,
			"GET summary":          summaryOf("auto-tuning", "173870.94", "2583"),
			"GET perf-summary":     perfText("2800", "untuned", true),
			"GET settings":         settingsText("3160", true),
			"GET autotune/presets": "[" + first + "," + strings.Join(presets, ",") + "]",
			"POST settings":        `{"restart_required":false,"reboot_required":false}`,
			"POST mining/stop":     `{"success":true}`,
			"POST mining/start":    ``,
			"POST mining/resume":   ``,
			"POST mining/restart":  ``,
		},
	}
	return m
}

// s19 is an S19j Pro with 1.3.3 whose presets are tuned, one but with a modded supply, with its switcher off.
func s19() *machine {
	m := s21pro()
	tune := `"tune_settings":{"hashrate":75910,"volt":14210,"freq":570,"chains":[{"freq":570,"serial":"A","chips":[564,564]},{"freq":564,"serial":"B","chips":[552,552]}],"modified":false}`
	m.Replies["GET info"] = strings.NewReplacer("S21 Pro", "S19j Pro", "1.2.7", "1.3.3", `"1:55"`, `"9 days,  3:58"`).Replace(m.Replies["GET info"])
	m.Replies["GET autotune/presets"] = `[{"name":"disabled","pretty":"Disabled","status":"untuned","modded_psu_required":false},
		{"name":"2700","pretty":"2700 watt ~ 96 TH","status":"tuned","modded_psu_required":false,` + tune + `},
		{"name":"1740","pretty":"1740 watt ~ 65 TH","status":"tuned","modded_psu_required":false},
		{"name":"2300","pretty":"2300 watt ~ 87 TH","status":"tuned","modded_psu_required":false,` + tune + `},
		{"name":"2970","pretty":"2970 watt ~ 100 TH","status":"untuned","modded_psu_required":false},
		{"name":"3900","pretty":"3900 watt ~ 120 TH","status":"tuned","modded_psu_required":true}]`
	m.Replies["GET settings"] = settingsText("2700", false)
	m.Replies["GET perf-summary"] = perfText("2700", tuned, false)
	m.Replies["GET summary"] = summaryOf("mining", "97000.5", "2699")
	m.Replies["GET status"] = strings.Replace(m.Replies["GET status"], "auto-tuning", "mining", 1)
	return m
}

func (m *machine) unlock(body []byte, token string) (int, string) {
	var in struct{ PW string }
	if json.Unmarshal(body, &in) != nil || in.PW != m.password {
		return http.StatusForbidden, ""
	}
	return http.StatusOK, fmt.Sprintf(`{"token":%q}`, token)
}

// take keeps the preset of new settings.
func (m *machine) take(key string, body []byte) (string, bool) {
	var in struct {
		Miner struct{ Overclock struct{ Preset string } }
	}
	if key == "POST settings" && !m.keeps && json.Unmarshal(body, &in) == nil {
		m.Replies["GET settings"] = settingsText(in.Miner.Overclock.Preset, false)
	}
	return "", false
}

// is makes the machine say that it is in a state.
func (m *machine) is(state string) {
	m.Set("GET status", fmt.Sprintf(`{"miner_state":%q,"restart_required":false,"reboot_required":false}`, state))
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
