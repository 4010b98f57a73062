package avalon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestReadAsRecorded(t *testing.T) {
	cases := map[string]struct {
		m    *machine
		want miner.Reading
	}{
		"A15": {a1566(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(199.24107), Watts: new(int64(3731)), WattsSource: miner.Wall, TargetWatts: new(int64(3515)),
			Effective: new(int64(3515)), Ceiling: new(int64(3726)), Mode: "1", TemperatureC: new(78.0), Uptime: new(975 * time.Second),
		}},
		"A13": {a1346(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(110.77838), Watts: new(int64(3348)), WattsSource: miner.Wall, TargetWatts: new(int64(3100)),
			Effective: new(int64(3100)), Ceiling: new(int64(3348)), Mode: "0", Uptime: new(1370 * time.Second),
		}},
		"A13, asleep": {a1346().asleep1346(), miner.Reading{
			State: miner.Sleeping, HashrateTHs: new(0.0), Watts: new(int64(11)), WattsSource: miner.Wall, TargetWatts: new(int64(3100)), Mode: "0",
			Uptime: new(1370 * time.Second),
		}},
		"Q": {q(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(81.01), Watts: new(int64(1364)), WattsSource: miner.Wall, TargetWatts: new(int64(1300)),
			Effective: new(int64(1300)), Ceiling: new(int64(1365)), Mode: "standard", TemperatureC: new(78.0), Uptime: new(37850 * time.Second),
		}},
		"Q, asleep": {q().asleepQ(), miner.Reading{
			State: miner.Sleeping, HashrateTHs: new(0.0), Watts: new(int64(146)), WattsSource: miner.Wall, TargetWatts: new(int64(1300)),
			Mode: "standard", Uptime: new(37850 * time.Second),
		}},
		"A10: the boards are measured, the rate is an average": {a1066(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(51.42347812), Watts: new(int64(2834)), WattsSource: miner.DC, Mode: "1", TemperatureC: new(74.0),
			Uptime: new(6355 * time.Second),
		}},
		"Nano 3S": {nano3s(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(6.59884), Watts: new(int64(133)), WattsSource: miner.Wall, TargetWatts: new(int64(133)),
			Effective: new(int64(133)), Ceiling: new(int64(147)), Mode: "2", TemperatureC: new(95.0), Uptime: new(10027 * time.Second),
		}},
		"several modules: no watts": {rig(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(197.49792649), TemperatureC: new(78.0), Uptime: new(975 * time.Second),
		}},
		"no modules": {blind(), miner.Reading{State: miner.Hashing, HashrateTHs: new(197.49792649), Uptime: new(975 * time.Second)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := read(t, identified(t, c.m))
			if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a machine is doing, by what was seen on machines that did it.
func TestState(t *testing.T) {
	cases := map[string]struct {
		m    *machine
		told bool
		want miner.State
	}{
		"starting: boards draw, no rate yet": {a1346().with("GHSspd[110778.38]", "GHSspd[0.00]").with("PS[0 1199 1391 225 3126 1393 3348]", "PS[0 1199 1392 34 776 1393 837]"), false, miner.Starting},
		"in init":                            {q().with("In Work", "In Init"), false, miner.Starting},
		"told to sleep, at work still":       {a1346().with("SoftOFF[0]", "SoftOFF[5]"), true, miner.Stopping},
		"told by somebody, and rising":       {a1346().with("SoftOFF[0]", "SoftOFF[4]"), false, miner.Hashing},
		"told, no rate, at work":             {a1346().with("SoftOFF[0]", "SoftOFF[5]").with("GHSspd[110778.38]", "GHSspd[0]"), false, miner.Stopping},
		"idle, with boards that draw":        {a1346().asleep1346().with("PS[0 1198 0 0 0 1393 11]", "PS[0 1199 1393 223 3107 1393 3334]"), false, miner.Stopping},
		"idle, and hashes":                   {a1346().asleep1346().with("GHSspd[0.00]", "GHSspd[20000.00]"), true, miner.Stopping},
		"idle since the boot, not told":      {a1346().asleep1346().with("Elapsed[1370]", "Elapsed[20]").with("SoftOFF[5]", "SoftOFF[6]"), false, miner.Starting},
		"idle soon after the boot, told":     {a1346().asleep1346().with("Elapsed[1370]", "Elapsed[20]"), true, miner.Sleeping},
		"idle, told to nothing":              {a1346().asleep1346().with("SoftOFF[5]", "SoftOFF[0]"), false, miner.Failed},
		"Q idle, woken last":                 {q().asleepQ().with("SoftOnTime[1753425190]", "SoftOnTime[1753425290]"), false, miner.Failed},
		"Q idle, no times yet":               {q().asleepQ().with("SoftOnTime[1753425190]", "SoftOnTime[0]").with("SoftOffTime[1753425250]", "SoftOffTime[0]"), false, miner.Sleeping},
		"by its number, asleep":              {q().asleepQ().with("SYSTEMSTATU[Work: In Idle, Hash Board: 1] ", ""), false, miner.Sleeping},
		"by its number, at work":             {q().with("SYSTEMSTATU[Work: In Work, Hash Board: 1] ", "").with("GHSspd[81010.00]", "GHSspd[0]"), false, miner.Starting},
		"A10, told, boards off":              {stopped1066(), true, miner.Sleeping},
		"A10, boards off for some reason":    {stopped1066(), false, miner.Starting},
		"no word, no rate":                   {mute(), false, miner.Unknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.m)
			d.toldToSleep = c.told
			r := read(t, d)
			if r.State != c.want {
				t.Errorf("%s, want %s", r.State, c.want)
			}
			if asleep := r.State == miner.Sleeping; asleep && (r.Effective != nil || r.Ceiling != nil || r.Watts == nil) {
				t.Errorf("asleep with %+v", r)
			}
			if failed := r.State == miner.Failed; failed != (len(r.Faults) > 0) {
				t.Errorf("%s with faults %q", r.State, r.Faults)
			}
		})
	}
}

func stopped1066() *machine {
	m := a1066().with("PS[0 1217 1279 221 2834 1280]", "PS[0 1220 0 0 0 1308]")
	m.summary = `"Elapsed":17994,"MHS av":51278810.20,"MHS 30s":0.00`
	return m
}

func mute() *machine {
	m := a1566().with("SYSTEMSTATU[Work: In Work, Hash Board: 3 ] ", "").with("GHSspd[199241.07] ", "")
	m.summary = `"Elapsed":1`
	return m
}

// Only the boards of a first generation are measured: asleep it is said to draw what such a machine typically does.
func TestAsleepWithoutAMeter(t *testing.T) {
	d := identified(t, stopped1066())
	d.toldToSleep = true
	if r := read(t, d); r.Watts == nil || *r.Watts != residualWatts || r.WattsSource != miner.Estimate {
		t.Errorf("%+v", r)
	}
}

func TestWatts(t *testing.T) {
	cases := map[string]struct {
		module string
		watts  int64 // -1: not said
		source miner.Source
	}{
		"WALLPOWER before the supply":     {"PS[0 1209 1187 297 3526 1188 3731] WALLPOWER[3740]", 3740, miner.Wall},
		"the supply's wall":               {"PS[0 1214 1316 242 3189 1320 3504] MPO[3200]", 3504, miner.Wall},
		"boards only":                     {"PS[0 1196 1284 230 2953 1284]", 2953, miner.DC},
		"boards only, and off":            {"PS[0 1196 0 0 0 1284]", -1, ""},
		"never the voltage that was set":  {"PS[0 1222 4 0 0 2245]", -1, ""},
		"less at the wall than behind it": {"PS[0 1214 1316 242 3189 1320 90]", 3189, miner.DC},
		"the wall is not said":            {"PS[0 1214 1316 242 3189 1320 0]", 3189, miner.DC},
		"idle":                            {"PS[0 1216 1 0 0 2243 17]", 17, miner.Wall},
		"a supply that does not answer":   {"PS[0 0 0 0 0 0 0]", -1, ""},
		"as rejected":                     {"PS[]", -1, ""},
		"no supply":                       {"MPO[2220]", -1, ""},
		"no power of a machine":           {"PS[0 1 1 1 1 1 99999999]", 1, miner.DC},
		"Nano 3":                          {"Ver[nano3-25103101_0736b2e] PS[0 0 0 4 2756 126 330]", 126, miner.Wall},
		"Nano 3S":                         {"Ver[Nano3s-25021401_56abae7] PS[0 0 27965 2 0 3210 66]", 66, miner.Wall},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			now := lookOf(parseModule(c.module))
			got := int64(-1)
			if now.watts != nil {
				got = *now.watts
			}
			if got != c.watts || now.source != c.source {
				t.Errorf("%d W from %q, want %d W from %q", got, now.source, c.watts, c.source)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	m := a1566().with("PS[0 1209", "PS[2049 1209").with("ECHU[0 0 0]", "ECHU[512 513 0]").with("ECMM[0]", "ECMM[1] FanErr[2]")
	want := []string{"supply error 2049", "board 1 error 513", "control board error 1", "fan error 2"}
	if diff := cmp.Diff(want, read(t, identified(t, m)).Faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The module is found wherever a machine has it.
func TestOtherStats(t *testing.T) {
	m := q()
	m.modules = map[string]string{"stats": "", "estats": "", "litestats": m.modules["stats"]}
	d := identified(t, m)
	if r := read(t, d); r.State != miner.Hashing || *r.Watts != 1364 {
		t.Errorf("%+v", r)
	}
	if _, asked := m.taken(); !cmp.Equal(asked, []string{"litestats"}) {
		t.Errorf("it was asked %q", asked)
	}
}

// The lowest that a mode may draw follows what was seen, and never falls below what is known of the model.
func TestModesFollowTheMachine(t *testing.T) {
	m := q().with("MPO[1300]", "MPO[1350]").with("PS[0 1209 2349 55 1306 2350 1364]", "PS[0 1209 2349 55 1350 2350 1512]")
	d := identified(t, m)
	want := []miner.Mode{{Name: "eco", Watts: 896, THs: 52.5}, {Name: "standard", Watts: 1512, THs: 80}, {Name: "super", Watts: 1792, THs: 90}}
	if diff := cmp.Diff(want, d.Capabilities().Modes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.with("1350 2350 1512", "300 2350 480") // on its way up a supply loses more
	read(t, d)
	if diff := cmp.Diff(want, d.Capabilities().Modes); diff != "" {
		t.Errorf("rising (-want +got):\n%s", diff)
	}
	m.with("MPO[1350]", "MPO[20]").with("300 2350 480", "0 2350 40")
	read(t, d)
	want[1].Watts = 1456
	if diff := cmp.Diff(want, d.Capabilities().Modes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestText(t *testing.T) {
	cases := map[string]struct {
		in, want string
	}{
		"an answer": {
			"STATUS=I,When=19189,Code=118,Msg=ASC 0 set info: WORKMODE[1],Description=cgminer 4.11.1|",
			`{"STATUS":[{"Code":"118","Description":"cgminer 4.11.1","Msg":"ASC 0 set info: WORKMODE[1]","STATUS":"I","When":"19189"}]}`,
		},
		"commas in brackets and in words": {
			"STATUS=E,Msg=calibrating, wait, please,Code=120|STATS=0,MM ID0=SYSTEMSTATU[Work: In Work, Hash Board: 3 ] A[b=1,c],MM Count=1|",
			`{"STATS":[{"MM Count":"1","MM ID0":"SYSTEMSTATU[Work: In Work, Hash Board: 3 ] A[b=1,c]","STATS":"0"}],` +
				`"STATUS":[{"Code":"120","Msg":"calibrating, wait, please","STATUS":"E"}]}`,
		},
		"two of a name, and nothing": {"STATUS=S,Code=1,Code=2|||VERSION|,|", `{"STATUS":[{"Code":"1","STATUS":"S"}]}`},
		"an unclosed bracket":        {"STATUS=S,Msg=a[b,Code=1", `{"STATUS":[{"Msg":"a[b,Code=1","STATUS":"S"}]}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := string(jsonOf([]byte(c.in))); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

func TestModule(t *testing.T) {
	got := parseModule("'STATS':{Ver[Q-1] Temp[31] A_1[] Nonce Mask[25] Ver[other] [x] DH[1.3%] Loose] Open[1")
	want := module{"Ver": "Q-1", "Temp": "31", "A_1": "", "Mask": "25", "DH": "1.3%"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := got.number("DH"); !n.Set || n.Value != 1.3 {
		t.Errorf("%+v", n)
	}
	var text strings.Builder
	for i := range 10 * maxFields {
		fmt.Fprintf(&text, "F%d[1] ", i)
	}
	many := parseModule(text.String())
	if len(many) > maxFields {
		t.Errorf("%d fields", len(many))
	}
}
