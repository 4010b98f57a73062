package marafw_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

func TestWhoAsksComesFirst(t *testing.T) {
	r := start(t, asleep)
	for _, who := range [][2]string{{"root", "root"}, {"me", "x"}} {
		r.login(who[0], who[1])
		for _, path := range []string{"", "kaonsu/v1/brief", "kaonsu/v1/nothing"} {
			if code, _, err := r.send("GET", path, ""); code != 401 || err != nil {
				t.Errorf("%v %q: %d %v", who, path, code, err)
			}
		}
		if code, _, _ := r.send("POST", "kaonsu/v1/miner_config", `{"mode":{"work-mode-selector":"Stock"}}`); code != 401 {
			t.Errorf("%v: %d", who, code)
		}
	}
	r.draws(5*time.Minute, 25)
	for device, want := range map[int]string{
		newer: `Digest realm="MaraFW", algorithm=MD5, nonce="`, older: `Digest realm="antMiner Configuration", algorithm=MD5, nonce="`,
	} {
		r.to(device)
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.d.Address.String()+"/", nil)
		resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if h := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(h, want) {
			t.Errorf("%s", h)
		}
		r.want(404, "GET", "nothing", "", nil)
		r.want(404, "POST", "brief", "{}", nil)
		if code, _, _ := r.send("GET", "", ""); code != 404 {
			t.Errorf("%d", code)
		}
	}
}

type numbers struct {
	Status, WorkMode string
	Unit             *string `json:"hashrate_unit"`
	Realtime         float64 `json:"hashrate_realtime"`
	Ten              float64 `json:"hashrate_realtime_10m"`
	Ideal            float64 `json:"hashrate_ideal"`
	Watts            float64 `json:"power_consumption_estimated"`
	Source           string  `json:"power_source"`
	Elapsed          int
}

// TestUnits: GH/s and a name for it, or TH/s and none; the ideal is in GH/s either way.
func TestUnits(t *testing.T) {
	r := start(t, newer)
	var b numbers
	r.get("brief", &b)
	tera := r.d.Truth().TeraHashes
	if b.Status != "Mining" || b.Unit == nil || *b.Unit != "GH/s" || !simtest.Near(b.Realtime, tera*1000, 1) || !simtest.Near(b.Ideal, tera*1000, 2) ||
		!simtest.Near(b.Watts, r.d.Watts(), 1.5) || b.Source != "EST" || b.Elapsed != 1800 {
		t.Errorf("%+v", b)
	}
	r.to(older)
	b = numbers{}
	r.get("brief", &b)
	tera = r.d.Truth().TeraHashes
	if b.Unit != nil || b.Realtime < tera*0.98 || b.Realtime > tera*1.02 || b.Ten != b.Realtime || !simtest.Near(b.Ideal, tera*1000, 2) {
		t.Errorf("%+v of %g TH/s", b, tera)
	}
	r.to(asleep)
	r.get("brief", &b)
	if b.Status != "Sleep" || b.Realtime != 0 || b.Ten != 0 || b.Ideal != 0 || b.Watts > 35 || b.Source != "PSU" {
		t.Errorf("%+v", b)
	}
}

func TestReads(t *testing.T) {
	r := start(t, newer)
	tera := r.d.Truth().TeraHashes
	var boards struct {
		Hashboards []struct {
			Index   int
			Average float64   `json:"hashrate_average"`
			Chips   int       `json:"asic_num"`
			PCB     []float64 `json:"temperature_pcb"`
			Serial  string    `json:"serial_number"`
		}
	}
	r.get("hashboards", &boards)
	if b := boards.Hashboards; len(b) != 3 || b[2].Index != 2 || !simtest.Near(3*b[2].Average, tera*1000, 1) || b[0].Chips != 108 || len(b[0].PCB) == 0 || b[0].Serial == "" {
		t.Errorf("%+v", b)
	}
	for path, want := range map[string]string{
		"overview": `"mac":"` + r.d.MAC + `","model":"Antminer S21"`, "details": `"hashboard_infos":[{"asic_infos":[]`, "fans": `"index":3`,
		"pools": `"status":"Alive"`, "network_config": `"hostname":"MaraFW"`, "event_chart": `"event_flags":[]`, "locate_miner": `"blinking":false`,
		"log": `[]`, "ping": `"error":false`, "connections": `{`, "controlboard_info": `{`,
	} {
		if got := string(r.get(path, nil)); !strings.Contains(got, want) {
			t.Errorf("%s: no %s in %s", path, want, got)
		}
	}
	if got := string(r.want(200, "POST", "locate_miner", `{"blinking":true}`, nil)); !strings.Contains(got, `"blinking":true`) {
		t.Error(got)
	}
	if got := r.post("locate_miner", `{}`); !got.Error {
		t.Errorf("%+v", got)
	}
}

// TestPowerTargets: any watts within bounds, without mining coming to a stop.
func TestPowerTargets(t *testing.T) {
	r := start(t, newer)
	r.draws(0, 3500)
	for _, watts := range []float64{2400, 1200, 4500, 3000} {
		if got := r.power(watts); got.Error || got.Msg != "success" {
			t.Errorf("%+v", got)
		}
		r.clock.Advance(15 * time.Second)
		if w := r.d.Watts(); w < 1100 || r.status() != "Mining" {
			t.Errorf("%s at %.0f W on the way", r.status(), w)
		}
		r.draws(30*time.Second, watts)
	}
	for _, watts := range []float64{0, 1000, 4600, -1} {
		if got := r.power(watts); !got.Error {
			t.Errorf("%g W: %+v", watts, got)
		}
	}
	r.draws(time.Minute, 3000)
}

func TestOtherModes(t *testing.T) {
	r := start(t, newer)
	var nominal, hash float64
	r.d.Do(func(m *minersim.Machine) { nominal, hash = m.NominalWatts, m.NominalTeraHashes })
	r.power(2400)
	r.selector("Stock")
	r.clock.Advance(10 * time.Second)
	if r.status() != "Initializing" || r.d.Watts() > 40 {
		t.Errorf("%s at %.0f W", r.status(), r.d.Watts())
	}
	r.draws(3*time.Minute, nominal)
	r.selector("Stock")
	r.draws(10*time.Second, nominal)
	r.set(func(m map[string]any) {
		m["work-mode-selector"], m["fixed"] = "Fixed", map[string]any{"frequency": 400, "voltage": "13.5"}
	})
	r.draws(3*time.Minute, nominal*minersim.WattShare(400.0/585))
	r.set(func(m map[string]any) {
		m["work-mode-selector"] = "Auto"
		m["concorde"] = map[string]any{"mode-select": "Hashrate", "hash-target": 150, "power-target": 3500}
	})
	r.draws(3*time.Minute, nominal*minersim.WattShare(150/hash))
	if got := r.d.Truth().TeraHashes; !simtest.Near(got*10, 1500, 2) {
		t.Errorf("%g TH/s", got)
	}
}

// TestSleepAndWake: what ran before can be found in the log.
func TestSleepAndWake(t *testing.T) {
	r := start(t, newer)
	if got := string(r.get("log?type=miner_config_history", nil)); got != "[]\n" {
		t.Error(got)
	}
	r.power(2400)
	r.clock.Advance(time.Minute)
	r.selector("Sleep")
	if r.status() != "Sleep" {
		t.Error(r.status())
	}
	r.draws(10*time.Second, 25)
	r.clock.Advance(10 * time.Second)
	var b numbers
	if r.get("brief", &b); b.Ten != 0 || b.Realtime != 0 {
		t.Errorf("%g GH/s asleep", b.Ten)
	}
	r.selector("Sleep")
	var log []map[string][]struct {
		Type     string
		Path     []string
		From, To any
	}
	r.get("log?type=miner_config_history", &log)
	if len(log) != 2 {
		t.Fatalf("%v", log)
	}
	for _, changes := range log[1] {
		if c := changes[0]; c.Type != "update" || strings.Join(c.Path, "/") != "Mode/WorkModeSelector" || c.From != "Auto" || c.To != "Sleep" {
			t.Errorf("%+v", changes)
		}
	}
	// A target that is set asleep waits for the wake.
	r.set(func(m map[string]any) { m["concorde"].(map[string]any)["power-target"] = 2000 })
	r.draws(5*time.Minute, 25)
	r.selector("Auto")
	r.clock.Advance(50 * time.Second)
	if r.status() != "Initializing" || r.d.Watts() > 40 {
		t.Errorf("%s at %.0f W", r.status(), r.d.Watts())
	}
	r.draws(80*time.Second, 2000)
	if r.status() != "Mining" {
		t.Error(r.status())
	}
	r.to(asleep)
	r.get("log?type=miner_config_history", &log)
	r.selector("Stock")
	if r.clock.Advance(3 * time.Minute); len(log) != 1 || r.d.Watts() < 3000 {
		t.Errorf("%v, %.0f W", log, r.d.Watts())
	}
}

// TestTheLogIsBounded.
func TestTheLogIsBounded(t *testing.T) {
	r := start(t, newer)
	for i := range 60 {
		r.power(float64(2000 + i))
		r.clock.Advance(time.Second)
	}
	var log []map[string]any
	if r.get("log?type=miner_config_history", &log); len(log) != 50 {
		t.Errorf("%d entries", len(log))
	}
}

func TestWhatIsRefusedChangesNothing(t *testing.T) {
	r := start(t, newer)
	before, _ := json.Marshal(r.document())
	for _, body := range []string{
		``, `{`, `null`, `[]`, `1`, `{"mode":1}`, `{"mode":{"work-mode-selector":"sleep"}}`, `{"mode":{"work-mode-selector":"Turbo"}}`,
		`{"mode":{"concorde":{"mode-select":"Luck"}}}`, `{"mode":{"concorde":{"power-target":"many"}}}`, `{"mode":{"concorde":{"hash-target":1}}}`,
		`{"mode":{"fixed":{"frequency":"fast"}}}`, `{"mode":{"fixed":{"frequency":5000}}}`, `{"mode":{"fixed":{"voltage":230}}}`,
		`{"pools":[],"mode":{"work-mode-selector":""}}`,
	} {
		if got := r.post("miner_config", body); !got.Error || got.Msg == "" {
			t.Errorf("%s: %+v", body, got)
		}
	}
	if after, _ := json.Marshal(r.document()); string(after) != string(before) {
		t.Errorf("%s became %s", before, after)
	}
	r.draws(5*time.Minute, 3500)
	if got := r.post("miner_config", `{"pools":[{"url":"a","user":"b","pass":"c"}]}`); got.Error {
		t.Errorf("%+v", got)
	}
	if got := string(r.get("miner_config", nil)); !strings.Contains(got, `"pools":[{"url":"a"`) || !strings.Contains(got, `"pool-group":[{`) {
		t.Error(got)
	}
	r.draws(time.Minute, 3500)
}

func TestMaintenance(t *testing.T) {
	r := start(t, newer)
	r.power(2400)
	r.clock.Advance(time.Minute)
	r.post("maintenance", `{"type":"reload"}`)
	r.draws(10*time.Second, 25)
	r.draws(3*time.Minute, 2400)
	r.post("maintenance", `{"type":"reboot"}`)
	if code, _, err := r.send("GET", "", ""); err == nil || r.rpc(`{"command":"version"}`) != nil {
		t.Errorf("answers %d while it boots", code)
	}
	r.clock.Advance(55 * time.Second)
	if r.status() != "Initializing" {
		t.Error(r.status())
	}
	r.draws(3*time.Minute, 2400)
	for _, body := range []string{
		`{"type":"passwd","params":{"curPwd":"x","newPwd":"abc"}}`, `{"type":"dance"}`, `nonsense`, `[]`,
	} {
		if got := r.post("maintenance", body); !got.Error {
			t.Errorf("%s: %+v", body, got)
		}
	}
	r.post("maintenance", `{"type":"passwd","params":{"curPwd":"root","newPwd":"abc","confirmPwd":"root"}}`)
	r.want(401, "GET", "brief", "", nil)
	r.login("root", "abc")
	r.selector("Sleep")
	r.clock.Advance(time.Minute)
	r.post("maintenance", `{"type":"reload"}`)
	r.draws(3*time.Minute, 25)
	r.post("maintenance", `{"type":"reset"}`)
	r.login("root", "root")
	r.draws(3*time.Minute, 3500)
}

// TestSleepLastsThroughAReboot, unless the boot is one that forgets.
func TestSleepLastsThroughAReboot(t *testing.T) {
	r := start(t, newer)
	r.selector("Sleep")
	r.clock.Advance(time.Minute)
	r.post("maintenance", `{"type":"reboot"}`)
	r.draws(10*time.Minute, 25)
	if r.status() != "Sleep" {
		t.Error(r.status())
	}
	r.persona(minersim.RebootsHot)
	if _, err := r.site.Reboot(r.onlyIt()); err != nil {
		t.Fatal(err)
	}
	r.persona(minersim.Good)
	r.draws(5*time.Minute, 3500)
	if r.status() != "Mining" {
		t.Error(r.status())
	}
}

func TestRPC(t *testing.T) {
	r := start(t, newer)
	for request, want := range map[string]string{
		`{"command":"version"}`: `"BMMiner":"MARAFW_3.1.4"`, `{"command":"stats"}`: `"total_acn":324`, `{"command":"summary"}`: `"GHS 5s":`,
		`{"command":"devs"}`: `"3 ASC(s)"`, `{"command":"pools"}`: `"Stratum Active":true`, `{"command":"devdetails"}`: `"Code":14`,
		`{"command":"version+stats"}`: `"Code":14`, `{}`: `"Code":24`, "x\n": `"Code":23`,
	} {
		got := string(r.rpc(request))
		if !strings.Contains(got, want) || !strings.Contains(got, "kaonsu 3.1.4") {
			t.Errorf("%s: no %s in %s", request, want, got)
		}
	}
	var version struct {
		VERSION []struct{ Type, Model string }
	}
	if err := json.Unmarshal(r.rpc(`{"command":"version"}`), &version); err != nil || version.VERSION[0].Model != "Antminer S21" {
		t.Errorf("%+v %v", version, err)
	}
}

func (r *rig) onlyIt() minersim.Selector {
	return minersim.Selector{Address: r.d.Address.Addr().String()}
}

func (r *rig) persona(p minersim.Persona) {
	r.t.Helper()
	if _, err := r.site.SetPersona(r.onlyIt(), p); err != nil {
		r.t.Fatal(err)
	}
}

func TestPersonas(t *testing.T) {
	r := start(t, newer)
	r.persona(minersim.Deaf)
	r.selector("Sleep")
	r.draws(5*time.Minute, 3500)
	if r.status() != "Sleep" {
		t.Errorf("a deaf machine says %s", r.status())
	}
	r.persona(minersim.Good)
	r.selector("Auto")
	r.clock.Advance(3 * time.Minute)
	r.persona(minersim.Late)
	body, _ := json.Marshal(map[string]any{"mode": map[string]any{"work-mode-selector": "Sleep"}})
	done := make(chan error, 1)
	go func() {
		_, _, err := r.send("POST", "kaonsu/v1/miner_config", string(body))
		done <- err
	}()
	r.clock.AwaitWaiter()
	r.get("brief", nil)
	r.clock.Advance(2 * time.Second)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.draws(7*time.Second, 3500)
	r.draws(20*time.Second, 25)
	r.persona(minersim.Dark)
	if code, _, err := r.send("GET", "", ""); err == nil || r.rpc(`{"command":"version"}`) != nil {
		t.Errorf("a dark machine answers %d", code)
	}
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	r := start(t, newer)
	r.persona(minersim.Busy)
	if got := r.selector("Sleep"); got.Error {
		t.Fatalf("%+v", got)
	}
	r.clock.Advance(10 * time.Second)
	if w := r.d.Watts(); w > 40 {
		t.Errorf("%g W before the other comes back", w)
	}
	r.draws(10*time.Minute, 3500)
	var log []map[string]any
	if r.get("log?type=miner_config_history", &log); len(log) != 2 || r.status() != "Mining" {
		t.Errorf("%s after %v", r.status(), log)
	}
}
