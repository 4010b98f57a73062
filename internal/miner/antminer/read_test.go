package antminer

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// recorded is one reply of a real machine, and what it said.
type recorded struct {
	stats string
	want  miner.Reading
}

func TestReadsWhatWasRecorded(t *testing.T) {
	hours := func(seconds int) *time.Duration { return new(time.Duration(seconds) * time.Second) }
	cases := map[string]recorded{
		"S21 Pro+": {s21stats, miner.Reading{
			State: miner.Hashing, HashrateTHs: new(249.99418), Watts: new(int64(3499)), WattsSource: miner.Estimate,
			Mode: "Normal", TemperatureC: new(73.), Uptime: hours(1800211),
		}},
		"S21 XP Hyd., which writes 0 W": {`{"STATUS":{"STATUS":"S","when":1791401145,"Msg":"stats","api_version":"1.0.0"},
			"INFO":{"miner_version":"71.0.1.3","CompileTime":"Thu Jan 8 15:44:15 CST 20266","type":"Antminer S21 XP Hyd."},
			"STATS":[{"elapsed":602533,"rate_5s":483979.25,"rate_30m":487149.97,"rate_avg":487129.58,"rate_ideal":473000.0,"rate_unit":"GH/s",
			"chain_num":3,"fan_num":4,"fan":[0,0,0,0],"hwp_total":0.0001,"watt":0,"jt":0.0,"miner-mode":0,"freq-level":100,
			"chain":[{"index":0,"rate_real":161794.68,"temp_pic":[54,47,53,49],"temp_pcb":[38,48,47,52],"temp_chip":[63,59,56,61],"tpl":[[8,9],[7,10]]}]}]}`,
			miner.Reading{State: miner.Hashing, HashrateTHs: new(483.97925), Mode: "Normal", TemperatureC: new(63.), Uptime: hours(602533)}},
		"S23 Hyd.": {`{"INFO":{"CompileTime":"Fri Jun 26 09:24:23 CST 2026","miner_type_enum":1,"miner_version":"platform[AML]","type":"Antminer S23 Hyd."},
			"STATS":[{"chain":[{"asic_num":84,"index":0,"rate_real":188896.1,"temp_chip":[44,44,56,56]}],"chain_num":3,"elapsed":167430,"fan":[],"fan_num":0,
			"rate_5s":572845.56,"rate_avg":576153.9,"rate_ideal":581972.7,"rate_unit":"GH/s","watt":5525}],"STATUS":{"Msg":"stats","STATUS":"S"}}`,
			miner.Reading{State: miner.Hashing, HashrateTHs: new(572.84556), Watts: new(int64(5525)), WattsSource: miner.Estimate,
				Mode: "Normal", TemperatureC: new(56.), Uptime: hours(167430)}},
		"KS7": {`{"INFO":{"type":"Antminer KS7"},"STATS":[{"chain":[{"index":0,"rate_real":13727.36,"temp_chip":[49,66],"temp_pic":[0,0]}],"chain_num":3,
			"elapsed":2634239,"rate_5s":42606.07,"rate_avg":41256.91,"rate_ideal":41342.4,"rate_unit":"GH/s","watt":3123}],"STATUS":{"Msg":"stats","STATUS":"S"}}`,
			miner.Reading{State: miner.Hashing, HashrateTHs: new(42.60607), Watts: new(int64(3123)), WattsSource: miner.Estimate,
				Mode: "Normal", TemperatureC: new(66.), Uptime: hours(2634239)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s21()
			m.pages["stats"] = c.stats
			got, err := identified(t, m).Read(t.Context())
			if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(1e-9, 0)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// What the machine was told, its hash rate and its watts make its state together.
func TestState(t *testing.T) {
	cases := map[string]struct {
		set, stats string
		want       miner.State
		watts      *int64
	}{
		"hashing":                        {"0", statsOf("240000", "0", "3500"), miner.Hashing, new(int64(3500))},
		"on its way up":                  {"0", statsOf("0.0", "0", "900"), miner.Starting, new(int64(900))},
		"what a ramp leaves":             {"0", statsOf("4000", "0", ""), miner.Starting, nil},
		"woken, not up yet":              {"0", statsOf("0", "1", ""), miner.Starting, nil},
		"mining process down, awake":     {"0", `{"STATUS":{"STATUS":"S"},"STATS":[]}`, miner.Starting, nil},
		"asleep":                         {"1", statsOf("0.0", "1", ""), miner.Sleeping, nil},
		"asleep, said as 0 W":            {"1", statsOf("0.0", "1", "0"), miner.Sleeping, new(int64(residualWatts))},
		"asleep, with its fans":          {"1", statsOf("0.0", "1", "61"), miner.Sleeping, new(int64(61))},
		"asleep, no mining process":      {"1", `{"STATUS":{"STATUS":"S"},"STATS":[]}`, miner.Sleeping, nil},
		"asleep by the older number":     {"254", statsOf("0.0", "", ""), miner.Sleeping, nil},
		"asleep by a word":               {"sleep", statsOf("0.0", "", ""), miner.Sleeping, nil},
		"told to sleep, still hashing":   {"1", statsOf("240000", "0", "3500"), miner.Stopping, new(int64(3500))},
		"told to sleep, still drawing":   {"1", statsOf("0", "1", "1200"), miner.Stopping, new(int64(1200))},
		"told to sleep, gives no rate":   {"1", strings.Replace(statsOf("", "1", ""), `"elapsed"`, `"chain":[{}],"elapsed"`, 1), miner.Unknown, nil},
		"told to sleep, rate below 0":    {"1", statsOf("-5", "1", ""), miner.Unknown, nil},
		"low mode":                       {"3", statsOf("170000", "3", "2400"), miner.Hashing, new(int64(2400))},
		"0 W is no reading of one awake": {"0", statsOf("240000", "0", "0"), miner.Hashing, nil},
		"a mode nobody knows":            {"turbo", statsOf("0", "", ""), miner.Unknown, nil},
		"a mode nobody knows, hashing":   {"turbo", statsOf("240000", "", ""), miner.Hashing, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s21()
			m.conf[workMode] = c.set
			m.pages["stats"] = c.stats
			r, err := identified(t, m).Read(t.Context())
			if err != nil || r.State != c.want {
				t.Fatalf("%+v, %v", r, err)
			}
			if diff := cmp.Diff(c.watts, r.Watts); diff != "" || (r.Watts == nil) != (r.WattsSource == "") {
				t.Errorf("from %q (-want +got):\n%s", r.WattsSource, diff)
			}
			if r.TargetWatts != nil || r.Effective != nil || r.Ceiling != nil {
				t.Error("it names no target")
			}
			if r.State == miner.Sleeping && (r.HashrateTHs == nil || *r.HashrateTHs != 0) {
				t.Errorf("hash rate %v", r.HashrateTHs)
			}
		})
	}
}

// Keys that disagree are no sleep.
func TestModeOfConfiguration(t *testing.T) {
	for text, want := range map[string]mode{
		`{"pools":[],"bitmain-work-mode":"1"}`:                  sleep,
		`{"pools":[],"miner-mode":1}`:                           sleep,
		`{"pools":[],"bitmain-work-mode":1,"miner-mode":0}`:     normal,
		`{"pools":[],"bitmain-work-mode":"2","miner-mode":1}`:   "2",
		`{"pools":[],"bitmain-work-mode":null}`:                 normal,
		`{"pools":[],"bitmain-work-mode":""}`:                   normal,
		`{"pools":[],"bitmain-work-mode":[1]}`:                  normal,
		`{"pools":[],"bitmain-work-mode":"x"}`:                  "",
		`{"pools":[],"bitmain-work-mode":"1","miner-mode":"x"}`: "",
		`{"pools":[]}`: "",
	} {
		c, ok := confOf([]byte("\n\n" + text))
		if got := c.mode(); !ok || got != want {
			t.Errorf("%s is %q", text, got)
		}
	}
	for _, text := range []string{"", "null", "[]", "{}", "7", `{"bitmain-work-mode":"1"}`, `{"pools":7}`, "Error: config"} {
		if _, ok := confOf([]byte(text)); ok {
			t.Errorf("%q is a configuration", text)
		}
	}
}

// Watts of the power port, and of the RPC, where stats.cgi names none.
func TestMeters(t *testing.T) {
	m := s21()
	m.pages["stats"] = statsOf("240000", "0", "0")
	m.power = "miner power:3512"
	d := identified(t, m)
	for _, want := range []struct {
		power string
		watts *int64
	}{
		{"miner power:3512", new(int64(3512))}, {"Miner Power: 3512.2 W\n", new(int64(3513))}, {"error 6060 cmd", nil},
		{"miner power:", nil}, {"miner power:-5", nil}, {"miner power:9999999", nil}, {"miner power:0", nil},
		{"miner power:1\x00", nil}, {"miner power:5" + strings.Repeat(" ", 1<<16), nil}, {"other power:7", nil},
	} {
		m.set(func() { m.power = want.power })
		r, err := d.Read(t.Context())
		if diff := cmp.Diff(want.watts, r.Watts); err != nil || diff != "" {
			t.Errorf("%.20q: %v (-want +got):\n%s", want.power, err, diff)
		}
	}
	m = s21()
	m.pages["stats"] = statsOf("240000", "0", "")
	m.rpc["stats"] = `{"STATUS":[{"STATUS":"S"}],"STATS":[{"BMMiner":"1"},{"Elapsed":5,"GHS 5s":"240000","chain_power":"3250 W","power":0}],"id":1}`
	if r, err := identified(t, m).Read(t.Context()); err != nil || r.Watts == nil || *r.Watts != 3250 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A machine whose mining process was down when it was met shows its power port later.
func TestMeterIsLookedForAgain(t *testing.T) {
	m := s21()
	m.rpc = nil
	m.pages["stats"] = statsOf("0", "0", "")
	d := identified(t, m)
	m.set(func() { m.power = "miner power:3000" })
	var r miner.Reading
	for range meterEvery + 1 {
		var err error
		if r, err = d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r.Watts == nil || *r.Watts != 3000 {
		t.Errorf("%+v", r)
	}
}

// The configuration of a machine that hashes as it was told is read every fourth time only.
func TestReadingsAreCheap(t *testing.T) {
	m := s21()
	d := identified(t, m)
	got := map[string]int{}
	for range 1 + 2*slowEvery {
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, request := range m.taken() {
			got[request]++
		}
	}
	if diff := cmp.Diff(map[string]int{"GET stats": 9, "GET get_miner_conf": 3, "GET summary": 3}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(m.open) != 1 {
		t.Errorf("%d requests went without a login", len(m.open))
	}
	// Nobody's orders but its own: a person put it to sleep, and the next reading but one knows.
	m.set(func() { m.conf[workMode] = "1"; m.pages["stats"] = statsOf("0", "1", "0") })
	for i, want := range []miner.State{miner.Starting, miner.Sleeping} {
		if r, err := d.Read(t.Context()); err != nil || r.State != want {
			t.Errorf("reading %d: %+v, %v", i, r, err)
		}
	}
}

// A page that fails, or a mining process that restarts, is no sleep.
func TestReadErrors(t *testing.T) {
	for name, change := range map[string]func(*machine){
		"stats gone":         func(m *machine) { m.statuses["stats"] = 503 },
		"stats empty":        func(m *machine) { m.pages["stats"] = "" },
		"stats say error":    func(m *machine) { m.pages["stats"] = `{"STATUS":{"STATUS":"E","Msg":"x"}}` },
		"configuration gone": func(m *machine) { m.statuses["get_miner_conf"] = 500 },
		"configuration torn": func(m *machine) { m.conf = nil; m.pages["get_miner_conf"] = `{"pools" : [` },
		"password changed":   func(m *machine) { m.password = "other"; m.nonce = "second" },
	} {
		t.Run(name, func(t *testing.T) {
			m := s21()
			m.conf[workMode] = "1"
			m.pages["stats"] = statsOf("0", "1", "0")
			d := identified(t, m)
			m.set(func() { change(m) })
			if r, err := d.Read(t.Context()); err == nil || r.State != "" {
				t.Errorf("%+v, %v", r, err)
			} else if strings.Contains(err.Error(), "p00l") || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v shows a secret", err)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	m := s21()
	m.pages["summary"] = `{"SUMMARY":[{"safe_mode":true,"status":[{"type":"rate","status":"e","code":-1,"msg":"Low hashrate"},
		{"type":"fans","status":"E","code":7,"msg":"Fan lost"},{"type":"miner","status":"running"},{"type":"temp","status":"w","code":0,"msg":""}]}]}`
	r, err := identified(t, m).Read(t.Context())
	want := []string{"safe mode", "rate: Low hashrate (-1)", "fans: Fan lost (7)", "temp"}
	if diff := cmp.Diff(want, r.Faults); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	m.set(func() { m.conf[workMode] = "1"; m.pages["stats"] = statsOf("0", "1", "0") })
	if r, err = identified(t, m).Read(t.Context()); err != nil || len(r.Faults) != 3 {
		t.Errorf("%+v, %v: one that sleeps has no hash rate", r, err)
	}
}

// t17 is a model of 2019, whose pages are others. Recorded: its configuration, and its RPC asleep.
func t17(stats string) *machine {
	m := s21()
	m.pages = map[string]string{"get_system_info": strings.Replace(system, "S21 Pro+", "T17+", 1)}
	m.conf = map[string]any{
		"pools": []any{
			map[string]any{"url": "aaa:700", "user": "aaa.226x94", "pass": "x"},
			map[string]any{"url": "bbb:6000", "user": "bbb.226x94", "pass": "p00l #&=+ pass"},
		},
		"api-listen": true, "api-network": true, "api-groups": "A:stats:pools:devs:summary:version", "api-allow": "A:0/0,W:*",
		"bitmain-use-vil": true, workMode: "0", "bitmain-freq": "O", "bitmain-voltage": "1950",
	}
	m.rpc["stats"] = stats
	return m
}

var t17awake = strings.NewReplacer(`"Mode":254`, `"Mode":2`, `"GHS 5s":"0.00"`, `"GHS 5s":"55321.10"`, `"total_rateideal":0.00`, `"total_rateideal":58000.00`).
	Replace(t17rpcAsleep)

// A model of 2019 is read through its RPC.
func TestOldModels(t *testing.T) {
	for name, c := range map[string]struct {
		stats string
		want  miner.State
	}{"asleep": {t17rpcAsleep, miner.Sleeping}, "awake": {t17awake, miner.Hashing}, "an S19 whose Mode is no mode": {s19rpcAsleep, miner.Starting}} {
		t.Run(name, func(t *testing.T) {
			d := identified(t, t17(c.stats))
			if r, err := d.Read(t.Context()); err != nil || r.State != c.want || r.HashrateTHs == nil {
				t.Errorf("%+v, %v", r, err)
			}
			if !d.Capabilities().Sleep {
				t.Error("does not offer to sleep")
			}
		})
	}
}

// t17form is what a browser sends for it; as another client was recorded to, but for the second password and the third pool.
const t17form = "_ant_pool1url=aaa%3A700&_ant_pool1user=aaa.226x94&_ant_pool1pw=x&_ant_pool2url=bbb%3A6000&_ant_pool2user=bbb.226x94" +
	"&_ant_pool2pw=p00l+%23%26%3D%2B+pass&_ant_pool3url=&_ant_pool3user=&_ant_pool3pw=&_ant_nobeeper=false&_ant_notempoverctrl=false" +
	"&_ant_fan_customize_switch=false&_ant_fan_customize_value=&_ant_freq=O&_ant_voltage=1950&_ant_work_mode="

// A model of 2019 is told by a form, whose script counts the fields.
func TestOldModelsAreToldByAForm(t *testing.T) {
	sleeps, wakes := miner.Setting{Kind: miner.Sleep}, miner.Setting{Kind: miner.HashMode}
	for name, c := range map[string]struct {
		set     string
		setting miner.Setting
		answer  string
		takes   bool
		want    error
		sent    string
	}{
		"sleep":                        {"0", sleeps, "ok\n", true, nil, "254"},
		"wake":                         {"254", wakes, "ok\n", true, nil, "0"},
		"sleep, its answer lost":       {"0", sleeps, "", true, nil, "254"},
		"another order passed it by":   {"0", sleeps, "", false, miner.ErrBusy, "254"},
		"says ok, and changes nothing": {"0", sleeps, "ok\n", false, errAny, "254"},
	} {
		t.Run(name, func(t *testing.T) {
			stats := t17awake
			if c.set == "254" {
				stats = t17rpcAsleep
			}
			m := t17(stats)
			m.conf[workMode] = c.set
			m.before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "set_miner_conf.cgi") {
					return false
				}
				if c.takes {
					m.set(func() { m.conf[workMode] = c.sent })
				}
				_, _ = io.WriteString(w, c.answer)
				return true
			}
			err := identified(t, m).Apply(t.Context(), c.setting)
			switch {
			case errors.Is(c.want, errAny):
				if err == nil || miner.NotApplied(err) {
					t.Errorf("%v", err)
				}
			case !errors.Is(err, c.want):
				t.Errorf("%v, want %v", err, c.want)
			}
			if orders := m.orders(); len(orders) != 1 || orders[0] != t17form+c.sent {
				t.Errorf("sent %q", orders)
			}
			if m.types[0] != "application/x-www-form-urlencoded; charset=UTF-8" {
				t.Error(m.types)
			}
		})
	}
}

// errAny is any error but those that say that nothing was done.
var errAny = errors.New("any")

// A model of 2019 whose form can't say what it has is told nothing, and no secret of it is in the reason.
func TestOldModelsThatWouldLoseSomething(t *testing.T) {
	pools := func(password string) []any {
		return []any{map[string]any{"url": "aaa:700", "user": "aaa.1", "pass": password}}
	}
	for name, change := range map[string]func(map[string]any){
		"another mode":         func(c map[string]any) { c[workMode] = "1" },
		"no mode":              func(c map[string]any) { delete(c, workMode) },
		"a setting of its own": func(c map[string]any) { c["multi-version"] = "4" },
		"another api-allow":    func(c map[string]any) { c["api-allow"] = "W:0/0" },
		"no pools":             func(c map[string]any) { c["pools"] = []any{} },
		"four pools":           func(c map[string]any) { p := pools("x")[0]; c["pools"] = []any{p, p, p, p} },
		"more in a pool": func(c map[string]any) {
			c["pools"] = []any{map[string]any{"url": "a", "user": "b", "pass": "c", "quota": "1"}}
		},
		"a number for a password":    func(c map[string]any) { c["pools"] = []any{map[string]any{"url": "a", "user": "b", "pass": 5}} },
		"a percent sign":             func(c map[string]any) { c["pools"] = pools("s3cret%25") },
		"a quote":                    func(c map[string]any) { c["pools"] = pools(`s3cret"`) },
		"a letter of another tongue": func(c map[string]any) { c["pools"] = pools("s3crét") },
		"fans without their switch":  func(c map[string]any) { c["bitmain-fan-pwm"] = "80" },
		"no clock":                   func(c map[string]any) { delete(c, "bitmain-freq") },
	} {
		t.Run(name, func(t *testing.T) {
			m := t17(t17awake)
			change(m.conf)
			d := identified(t, m)
			if d.Capabilities().Sleep {
				t.Error("offers to sleep")
			}
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			if !isUnsupported(err) || len(m.orders()) != 0 || strings.Contains(err.Error(), "s3cr") {
				t.Errorf("%v, sent %q", err, m.orders())
			}
			if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing && name != "no mode" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}
