package antminer_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

func TestRPC(t *testing.T) {
	r := start(t, young)
	for request, want := range map[string]string{
		`{"command":"version"}`:                                        `"CompileTime":"Thu Jul 11 16:38:25 CST 2024"`,
		`{"command":"version"}` + "\n":                                 `"Type":"Antminer S21"`,
		`{"command":"version"}` + "\x00":                               `"BMMiner":"1.0.0"`,
		`{"command":"pools"}`:                                          `"Pool Stale%%":0`,
		`{"command":"devs"}`:                                           `"Tenperature":`,
		`{"command":"devdetails"}`:                                     `"Code":14`,
		`{"command":"summary+stats"}`:                                  `"Code":14`,
		`{"command":""}`:                                               `"Code":24`,
		"hello\n":                                                      `"Code":23`,
		`{"command":7}`:                                                `"Code":23`,
		`{"command":"stats","new_api":true}`:                           `"STATUS":{"Msg":"stats"`,
		`{"command":"summary","new_api":true}`:                         `"rate_5s":`,
		`{"command":"pools","new_api":true}`:                           `"index":0`,
		`{"command":"stats","parameter":{"new_api":true}}`:             `"Msg":"CGMiner stats"`,
		`{"command":"version","new_api":true}`:                         `"VERSION":[`,
		`{"command":"stats","parameter":"` + strings.Repeat("x", 9000): `"Code":23`,
	} {
		if strings.Count(request, "x") > 100 {
			request += "\n"
		}
		if got := r.ask(request); !strings.Contains(string(got), want) {
			t.Errorf("%.60s: no %s in %s", request, want, got)
		}
	}
	tera := r.d.Truth().TeraHashes
	if got := r.rpc("summary", "SUMMARY")["GHS 5s"].(float64); !simtest.Near(got, tera*1000, 1) {
		t.Errorf("summary says %g GH/s of %g TH/s", got, tera)
	}
	if got := r.rpc("devs", "DEVS")["MHS 5s"].(float64); !simtest.Near(got, tera*1e6, 1) {
		t.Errorf("devs say %g MH/s of %g TH/s", got, tera)
	}
	stats := r.rpc("stats", "STATS")
	if stats["rate_unit"] != "GH" || stats["chain_acn3"] != 108.0 || stats["chain_acn4"] != 0.0 || stats["chain_rate4"] != "" ||
		!strings.Contains(stats["temp_chip1"].(string), "-") || stats["temp_chip4"] != "0-0-0-0" || stats["Mode"] != 2.0 {
		t.Errorf("%v", stats)
	}
	r.to(form)
	if got := r.rpc("summary", "SUMMARY")["GHS 5s"]; !strings.Contains(got.(string), ".") {
		t.Errorf("the oldest generation writes %v", got)
	}
	contains(t, r.ask(`{"command":"stats","new_api":true}`), `"Msg":"CGMiner stats"`)
}

// TestTheOldestLeaveOutAComma, where no parser does without.
func TestTheOldestLeaveOutAComma(t *testing.T) {
	r := start(t, restless)
	out := r.ask(`{"command":"stats"}`)
	contains(t, out, `"}{"`, `"chain_acn6":63`, `"chain_acn1":0`, `"BMMiner":"2.0.0"`)
	if json.Valid(out) {
		t.Errorf("a parser can read %s", out)
	}
	mended := bytes.Replace(out, []byte("}{"), []byte("},{"), 1)
	if stats := row(t, mended, "STATS"); stats["Mode"] != nil || stats["GHS 5s"] == "0.00" {
		t.Errorf("%v", stats)
	}
	for _, command := range []string{"summary", "version", "pools"} {
		if out := r.ask(`{"command":"` + command + `"}`); !json.Valid(out) {
			t.Errorf("%s", out)
		}
	}
}

// TestTheOldestKnowNoSleep.
func TestTheOldestKnowNoSleep(t *testing.T) {
	r := start(t, restless)
	full := r.d.Watts()
	if full < 1200 {
		t.Errorf("asleep at %.0f W", full)
	}
	for _, mode := range []string{"254", "1", "0"} {
		r.page(200, "POST", "set_miner_conf", asForm(mode), nil)
		r.draws(5*time.Minute, full)
	}
	if r.workMode() != "<nil>" {
		t.Error(r.workMode())
	}
}
