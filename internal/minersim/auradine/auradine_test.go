package auradine_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestItIsKnownForWhatItIs the way clients in the field find out: by the name of the mining
// software in version, the model in devdetails, and the report of its address.
func TestItIsKnownForWhatItIs(t *testing.T) {
	for device, want := range map[int]string{newest: "S21 2.2.0", older: "S19 XP 2023-12.27"} {
		t.Run(want, func(t *testing.T) {
			r := start(t, device)
			v := r.ask("version")
			for _, other := range []string{"ANTMINER", "BTMINER", "BOSER", "LUXMINER", "AVALON", "BFGMINER"} {
				if up := strings.ToUpper(v.text); !strings.Contains(up, "GCMINER") || strings.Contains(up, other) {
					t.Errorf("%s", v.text)
				}
			}
			model := section[struct{ Model string }](r, r.ask("devdetails"), "DEVDETAILS").Model
			i := section[struct{ MAC, Model, Version, SerialNo, Hostname string }](r, r.want("S", 620, "GET", "ipreport", ""), "IPReport")
			if model+" "+i.Version != want || i.Model != model || i.MAC != r.d.MAC || i.SerialNo != r.d.Serial || i.Hostname == "" {
				t.Errorf("%s %+v", model, i)
			}
		})
	}
}

func TestReadsOfAMiningMachine(t *testing.T) {
	r := start(t, newest)
	w := r.watts()
	truth := r.d.Truth()
	type summary struct {
		MHS     float64 `json:"MHS 5s"`
		Wattage *float64
		Target  float64 `json:"ThsThrottle"`
		Elapsed int
	}
	for name, got := range map[string]reply{"REST": r.want("S", 11, "GET", "summary", ""), "RPC": r.ask("summary")} {
		s := section[summary](r, got, "SUMMARY")
		if !near(s.MHS/1e6, truth.TeraHashes, 1) || s.Wattage == nil || !near(*s.Wattage, truth.Watts, 1.1) || !near(s.Target, truth.TeraHashes, 2) || s.Elapsed == 0 {
			t.Errorf("%s: %+v of %+v", name, s, truth)
		}
	}
	if !near(w, truth.Watts, 1.1) {
		t.Errorf("%g W of %g W", w, truth.Watts)
	}
	if m := r.mode(); m.Mode != "normal" || m.Sleep != "off" || m.Power != nil || m.Ths != nil {
		t.Errorf("%+v", m)
	}
	for command, code := range map[string]int{"devs": 9, "edevs": 9, "pools": 7, "stats": 70, "asccount": 104, "config": 33, "version": 22, "devdetails": 69} {
		if got := r.ask(command); got.code != code {
			t.Errorf("%s: %s", command, got.text)
		}
		r.want("S", code, "GET", command, "")
	}
	for command, code := range map[string]int{"fan": 510, "led": 530, "network": 550, "temperature": 590, "voltage": 630, "frequency": 640, "ipreport2": 620} {
		r.want("S", code, "GET", command, "")
	}
	if got := r.ask("restart"); got.code != 14 {
		t.Errorf("the RPC takes commands: %s", got.text)
	}
	if got := r.ask("summary+devs"); got.sections["devs"] == nil || got.sections["summary"] == nil {
		t.Errorf("%s", got.text)
	}
}

// TestTheOlderSaysLess: no watts in its summary, and both targets, whatever is tuned.
func TestTheOlderSaysLess(t *testing.T) {
	r := start(t, older)
	if text := r.ask("summary").text; strings.Contains(text, "Wattage") || strings.Contains(text, "ThsThrottle") {
		t.Error(text)
	}
	if rpc, rest := r.ask("summary").status[0].Description, r.want("S", 540, "GET", "mode", "").status[0].Description; !strings.HasPrefix(rpc, "GCMiner-2023-12.27-") || !strings.HasPrefix(rest, "FluxOS-2023-12.27-") {
		t.Errorf("%s, %s", rpc, rest)
	}
	m := r.set(`{"command":"mode","mode":"custom","tune":"power","power":2000}`)
	if m.Mode != "custom" || m.Power == nil || *m.Power != 2000 || m.Ths == nil {
		t.Errorf("%+v", m)
	}
}

func TestSleep(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.set(`{"command":"mode","mode":"custom","tune":"power","power":2500}`)
	if w := r.after(time.Minute); !near(w, 2500, 3) {
		t.Errorf("%g W", w)
	}
	if m := r.set(`{"sleep":"on","command":"mode"}`); m.Sleep != "on" || m.Mode != "custom" || *m.Power != 2500 {
		t.Errorf("%+v", m)
	}
	if w := r.after(6 * time.Second); w < 40 || w > 80 {
		t.Errorf("asleep %g W", w)
	}
	if s := section[struct {
		Target *float64 `json:"ThsThrottle"`
	}](r, r.ask("summary"), "SUMMARY"); s.Target == nil || *s.Target != 0 {
		t.Errorf("asleep it goes for %v TH/s", s.Target)
	}
	r.set(`{"mode":"custom","tune":"power","power":3000}`)
	if w := r.after(time.Minute); w > 80 {
		t.Errorf("woken by a target: %g W", w)
	}
	if m := r.set(`{"sleep":"off"}`); m.Sleep != "off" {
		t.Errorf("%+v", m)
	}
	if w := r.after(10 * time.Second); w > 80 {
		t.Errorf("%g W before the software is up", w)
	}
	r.set(`{"mode":"custom","tune":"power","power":2000}`)
	if w := r.after(5 * time.Second); w > 80 {
		t.Errorf("%g W before the software is up", w)
	}
	if w := r.after(66 * time.Second); !near(w, 2000, 3) {
		t.Errorf("%g W", w)
	}
	r.set(`{"mode":"normal"}`)
	if w := r.after(time.Minute); !near(r.d.Watts(), full, 2) {
		t.Errorf("%g W of %g W", w, full)
	}
}

// TestModes: all of them move the watts.
func TestModes(t *testing.T) {
	r := start(t, newest)
	for body, share := range map[string]float64{`{"mode":"eco"}`: 0.85, `{"mode":"turbo"}`: 1.15, `{"mode":"normal"}`: 1} {
		if r.set(body); !near(r.after(time.Minute), share*r.nominal(), 3) {
			t.Errorf("%s: %g W of %g W", body, r.watts(), r.nominal())
		}
	}
	if r.set(`{"mode":"eco","sleep":"off"}`); !near(r.after(time.Minute), 0.85*r.nominal(), 3) {
		t.Errorf("told to be awake as it is, it forgets its mode: %g W of %g W", r.watts(), r.nominal())
	}
	m := r.set(`{"mode":"custom","tune":"ths","ths":120}`)
	if r.clock.Advance(time.Minute); m.Tune != "ths" || *m.Ths != 120 || m.Power != nil || !near(r.d.Truth().TeraHashes, 120, 2) {
		t.Errorf("%+v, %+v", m, r.d.Truth())
	}
}

// TestWhatIsRefusedChangesNothing.
func TestWhatIsRefusedChangesNothing(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	for _, body := range []string{
		`{"mode":"custom","tune":"power","power":500}`, `{"mode":"custom","tune":"power","power":9000}`, `{"mode":"custom","tune":"ths","ths":2}`,
		`{"mode":"fast"}`, `{"mode":"custom","tune":"heat"}`, `{"sleep":"yes"}`, `{"sleep":true}`, `{"mode":"eco","sleep":"maybe"}`, `{`, `[]`, `{"power":"2000"}`,
	} {
		r.want("E", 15, "POST", "mode", body)
	}
	if m := r.mode(); m.Mode != "normal" || m.Sleep != "off" || !near(r.after(time.Minute), full, 3) {
		t.Errorf("%+v at %g W", m, r.watts())
	}
	for path, method := range map[string]string{"nothing": "GET", "psu/x": "GET", "summary": "POST"} {
		if code, got := r.send(method, path, "{}"); code != 404 || got.code != 14 {
			t.Errorf("%s: %d %s", path, code, got.text)
		}
	}
	r.want("E", 15, "POST", "restart", `{"parameter":"world"}`)
	r.want("E", 15, "POST", "updatepools", `{"pools":[]}`)
	r.want("E", 15, "POST", "password", `{"user":"admin","old":"x","new":"y"}`)
}

// TestTokens: either header will do, an hour long, and not through a reboot.
func TestTokens(t *testing.T) {
	r := start(t, asleep)
	token := r.header.Get("Token")
	refused := func(why string) {
		t.Helper()
		code, got := r.send("GET", "mode", "")
		if code != 401 || got.status[0].STATUS != "E" || !strings.Contains(strings.ToUpper(got.status[0].Msg), "TOKEN") {
			t.Errorf("%s: %d %s", why, code, got.text)
		}
	}
	r.header = http.Header{"Authorization": {"Bearer " + token}}
	if r.mode().Sleep != "on" {
		t.Errorf("%+v", r.mode())
	}
	r.header = http.Header{"Token": {token + "x"}}
	refused("another token")
	r.header = http.Header{}
	refused("no token")
	for _, body := range []string{`{"user":"me","password":"wrong"}`, `{"user":"admin","password":"secret"}`, `{`, ``} {
		if code, got := r.send("POST", "token", body); code != 401 || got.status[0].STATUS != "E" || strings.Contains(got.text, "secret") {
			t.Errorf("%s: %d %s", body, code, got.text)
		}
	}
	r.header = http.Header{"Token": {token}}
	r.clock.Advance(59 * time.Minute)
	r.mode()
	r.clock.Advance(time.Minute)
	refused("after an hour")
	r.login()
	for range 15 {
		r.login()
	}
	last := r.header
	r.mode()
	r.want("S", 560, "POST", "password", `{"command":"password","user":"me","old":"secret","new":"fresh"}`)
	r.header = http.Header{}
	if code, _ := r.send("POST", "token", `{"user":"me","password":"fresh"}`); code != 200 {
		t.Errorf("%d", code)
	}
	r.header = last
	r.want("S", 500, "POST", "restart", `{}`)
	r.clock.Advance(2 * time.Minute)
	refused("after a reboot")
}

// TestARestart in the ways that clients ask for it.
func TestARestart(t *testing.T) {
	r := start(t, newest)
	full := r.d.Watts()
	r.want("S", 500, "POST", "restart", `{"command":"restart","parameter":"gcminer"}`)
	if w := r.after(10 * time.Second); w > 80 {
		t.Errorf("%g W", w)
	}
	if w := r.after(2 * time.Minute); !near(w, full, 3) {
		t.Errorf("%g W of %g W", w, full)
	}
	r.set(`{"sleep":"on"}`)
	for _, body := range []string{"", "{}", `{"command":"restart"}`} {
		r.want("S", 500, "POST", "restart", body)
		r.clock.Advance(5 * time.Second)
		if code, _, err := r.try("GET", "mode", ""); err == nil {
			t.Errorf("a booting machine answers %d", code)
		}
		r.clock.Advance(3 * time.Minute)
		r.login()
		if m := r.mode(); m.Sleep != "off" || !near(r.watts(), full, 3) {
			t.Errorf("%+v at %g W", m, r.watts())
		}
	}
	r.set(`{"sleep":"on","persistStandby":"on"}`)
	r.want("S", 500, "POST", "restart", "")
	r.clock.Advance(3 * time.Minute)
	r.login()
	if m := r.mode(); m.Sleep != "on" || r.watts() > 80 {
		t.Errorf("%+v at %g W", m, r.watts())
	}
}

func TestSettingsAreShown(t *testing.T) {
	r := start(t, newest)
	r.want("S", 530, "POST", "led", `{"command":"led","code":3}`)
	if l := section[struct{ Code int }](r, r.want("S", 530, "GET", "led", ""), "LED"); l.Code != 3 {
		t.Errorf("%+v", l)
	}
	r.want("S", 520, "POST", "updatepools", `{"command":"updatepools","pools":[{"url":"stratum+tcp://a:1","user":"b","pass":"c"}]}`)
	if p := section[struct{ URL, User string }](r, r.ask("pools"), "POOLS"); p.URL != "stratum+tcp://a:1" || p.User != "b" {
		t.Errorf("%+v", p)
	}
	var boards []struct {
		ID       int
		ChipTemp []json.RawMessage
	}
	got := r.want("S", 590, "GET", "temperature", "")
	if err := json.Unmarshal(got.sections["Temperature"], &boards); err != nil || len(boards) != 4 || boards[0].ID != 0 || len(boards[3].ChipTemp) == 0 {
		t.Errorf("%d boards, %v", len(boards), err)
	}
}
