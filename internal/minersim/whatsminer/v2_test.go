package whatsminer_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

func TestFraming(t *testing.T) {
	r := start(t, v2)
	for name, request := range map[string]string{
		"cmd": `{"cmd":"get_version"}`, "command": `{"command":"get_version"}`, "with a line end": `{"cmd":"get_version"}` + "\n",
		"with a NUL": `{"cmd":"get_version"}` + "\x00", "over lines": "{\"cmd\":\n\"get_version\"}",
	} {
		out, err := r.raw(request)
		if err != nil || !bytes.Contains(out, []byte(`"20240624.18.REL"`)) || !json.Valid(out) {
			t.Errorf("%s: %q %v", name, out, err)
		}
	}
	for request, code := range map[string]string{
		"hello\n": `"Code":23`, `{"x":1}`: `"Code":14`, `{"cmd":"dance"}`: `"Code":14`, `[1]`: `"Code":23`, `{"cmd":7}`: `"Code":14`,
		`{"enc":"1","data":"AAAA"}`: `"Code":23`, `{"enc":1,"data":"*"}`: `"Code":137`, `{"enc":1,"data":"AAAA"}`: `"Code":23`,
		`{"cmd":"power_on"}`: `"Code":135`,
	} {
		out, err := r.raw(request)
		if err != nil || !bytes.Contains(out, []byte(code)) || !bytes.Contains(out, []byte(`"STATUS":"E"`)) {
			t.Errorf("%q: %q %v", request, out, err)
		}
	}
	var joined map[string][]map[string]any
	out, err := r.raw(`{"cmd":"summary+pools+dance"}`)
	_ = json.Unmarshal(bytes.Replace(out, []byte(`"id":1,`), nil, 1), &joined)
	if err != nil || len(joined["summary"]) != 1 || joined["pools"][0]["POOLS"] == nil || joined["dance"][0]["Code"] != 14.0 {
		t.Errorf("joined: %q %v", out, err)
	}
}

// TestOneRequestPerConnection: a second one is lost.
func TestOneRequestPerConnection(t *testing.T) {
	r := start(t, v2)
	out, err := r.raw(`{"cmd":"get_version"}` + "\n" + `{"cmd":"summary"}` + "\n")
	if err == nil && bytes.Contains(out, []byte("SUMMARY")) {
		t.Errorf("%q", out)
	}
}

func TestReadsOfAHashingMachine(t *testing.T) {
	r := start(t, v2)
	s := r.summary()
	th := s.HSRT / 1e6
	if math.Abs(th-186) > 6 || math.Abs(s.MHSav/1e6-186) > 6 || math.Abs(s.FactoryGHS/1000-186) > 6 {
		t.Errorf("hashrates %+v", s)
	}
	if math.Abs(s.Power-r.d.Watts()) > 40 || math.Abs(s.PowerRate-s.Power/th) > 0.1 || math.Abs(s.PowerLimit/3600-1) > 0.04 {
		t.Errorf("watts %+v of %g", s, r.d.Watts())
	}
	if s.PowerMode != "Normal" || !s.HashStable || s.FastBoot != "disable" || s.Elapsed < 1800 {
		t.Errorf("%+v", s)
	}
	for _, command := range []string{"devs", "edevs"} {
		boards := r.ask(command).Devs
		if len(boards) != 3 || math.Abs(3*boards[2].HSRT/s.HSRT-1) > 0.01 || boards[2].UpfreqComplete != 1 || boards[2].Slot != 2 {
			t.Errorf("%s: %+v", command, boards)
		}
	}
	if m := r.msg("status"); m["mineroff"] != "false" || m["power_mode"] != "normal" || m["power_limit_set"] != "" || m["mineroff_reason"] != "" {
		t.Errorf("status %v", m)
	}
	// 224 V written as 22400, amperes as mA; all of it strings.
	psu := r.msg("get_psu")
	var mA, W float64
	_ = json.Unmarshal([]byte(psu["iin"]), &mA)
	_ = json.Unmarshal([]byte(psu["pin"]), &W)
	if psu["vin"] != "22400" || psu["vender"] == "" || math.Abs(mA/1000*224-W) > 1 || W != s.Power {
		t.Errorf("psu %v", psu)
	}
	if m := r.msg("get_miner_info"); m["mac"] != strings.ToUpper(r.d.MAC) || m["minersn"] != r.d.Serial {
		t.Errorf("%v", m)
	}
	if got := r.ask("get_error_code"); string(got.Msg) != `{"error_code":[]}` || got.Code != 131 {
		t.Errorf("%s", got.Msg)
	}
	if r.ask("devdetails").STATUS[0] != '[' || r.ask("status").STATUS[0] != '"' {
		t.Error("STATUS has one shape only")
	}
}

// TestSwitchOff: as they come, machines let nobody write, but issue tokens.
func TestSwitchOff(t *testing.T) {
	r := start(t, v2shut)
	if out, _ := r.raw(`{"cmd":"power_on"}`); !bytes.Contains(out, []byte(`"Code":45`)) {
		t.Errorf("in clear: %q", out)
	}
	got, encrypted := r.write("power_on", nil)
	if got.Code != 45 || encrypted || string(got.Msg) != `"can't access write cmd"` {
		t.Errorf("%d %s", got.Code, got.Msg)
	}
	if m := r.msg("status"); m["mineroff"] != "true" {
		t.Errorf("%v", m)
	}
	r.clock.Advance(20 * time.Minute)
	r.asleep("after a write that was refused")
}

func TestTokens(t *testing.T) {
	r := start(t, v2)
	first := r.token()
	if got, _ := r.writeWith(first, "enable_btminer_init", nil); got.Code != 131 {
		t.Errorf("%+v", got)
	}
	for range 3 {
		r.token()
	}
	if got := r.ask("get_token"); got.Code != 136 || string(got.Msg) != `"over max connect"` {
		t.Errorf("a fifth token: %+v", got)
	}
	r.clock.Advance(30*time.Minute - time.Second)
	if got, _ := r.writeWith(first, "enable_btminer_init", nil); got.Code != 131 {
		t.Errorf("before its time is over: %+v", got)
	}
	r.clock.Advance(time.Second)
	if got, encrypted := r.writeWith(first, "enable_btminer_init", nil); got.Code != 135 || encrypted {
		t.Errorf("after it: %+v", got)
	}
	for range 4 {
		r.token()
	}
	r.clock.Advance(30 * time.Minute)
	// The wrong password makes noise, a token of somebody else's making none.
	r.password = "root"
	if got, _ := r.write("power_on", nil); got.Code != 23 {
		t.Errorf("the wrong password: %+v", got)
	}
	r.password = "admin"
	k := r.token()
	k.sign = strings.Repeat("x", 22)
	if got, _ := r.writeWith(k, "power_on", nil); got.Code != 135 {
		t.Errorf("the wrong token: %+v", got)
	}
}

// TestEncIsANumber, also where everything else is right.
func TestEncIsANumber(t *testing.T) {
	r := start(t, v2)
	out, err := r.raw(strings.Replace(r.envelope(r.token(), "status", nil), `"enc":1`, `"enc":"1"`, 1))
	if err != nil || !bytes.Contains(out, []byte(`"Code":23`)) {
		t.Errorf("%q %v", out, err)
	}
}

// TestEncrypted: either padding goes in, reads may be encrypted too, and what is wrong with a
// command that was let in comes back encrypted.
func TestEncrypted(t *testing.T) {
	site := start(t, v2)
	for which, pkcs7 := range map[int]bool{v2: false, v2fast: true, v2quirks: false} {
		r := site.at(which)
		r.pkcs7 = pkcs7
		k := r.token()
		for _, c := range []struct {
			command, name, value string
			code                 int
		}{
			{"disable_btminer_fast_boot", "", "", 131}, {"status", "", "", 131}, {"dance", "", "", 14},
			{"adjust_power_limit", "power_limit", "100000", 14}, {"adjust_power_limit", "", "", 14},
			{"set_power_pct", "percent", "101", 14}, {"set_power", "power", "much", 14},
			{"adjust_upfreq_speed", "upfreq_speed", "10", 14},
		} {
			got, encrypted := r.writeWith(k, c.command, map[string]string{c.name: c.value})
			if got.Code != c.code || !encrypted {
				t.Errorf("%s %s: %d %s, encrypted %t", c.command, c.value, got.Code, got.Msg, encrypted)
			}
		}
	}
}

// TestQuirks: what older firmware writes is not quite JSON.
func TestQuirks(t *testing.T) {
	r := start(t, v2quirks)
	out, err := r.raw(`{"cmd":"summary"}`)
	if err != nil || json.Valid(out) || out[0] != '\n' || !bytes.Contains(out, []byte(",}]")) {
		t.Errorf("%q %v", out, err)
	}
	if !json.Valid(bytes.ReplaceAll(out, []byte(",}"), []byte("}"))) {
		t.Errorf("more is wrong than a comma: %q", out)
	}
	if m := r.msg("status"); m["btmineroff"] != "false" || m["Firmware Version"] != "'20210322.22.REL'" {
		t.Errorf("%v", m)
	}
	if m := r.msg("get_version"); m["fw_ver"] != "'20210322.22.REL'" {
		t.Errorf("%v", m)
	}
}

// TestBusyGivesNoToken: while somebody else holds them all, and not for ever.
func TestBusyGivesNoToken(t *testing.T) {
	r := start(t, v2)
	if _, err := r.site.SetPersona(minersim.Selector{Address: r.d.Address.Addr().String()}, minersim.Busy); err != nil {
		t.Fatal(err)
	}
	if got := r.ask("get_token"); got.Code != 136 {
		t.Errorf("%+v", got)
	}
	r.clock.Advance(25 * time.Second)
	r.token()
}
