package whatsminer

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

func TestReadAsRecorded(t *testing.T) {
	cases := map[string]struct {
		machine *machine
		want    miner.Reading
	}{
		"API v2: MH/s": {m30s(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(96.41723165), Watts: new(int64(3496)), WattsSource: miner.PSU,
			Effective: new(int64(3600)), Ceiling: new(int64(3600)), Mode: "normal", TemperatureC: new(92.9), Uptime: new(1217030 * time.Second),
		}},
		"API v3: TH/s": {m60s(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(171.259), Watts: new(int64(3156)), WattsSource: miner.PSU,
			Effective: new(int64(3600)), Ceiling: new(int64(3600)), TemperatureC: new(98.5), Uptime: new(50000 * time.Second),
			Faults: []string{"error 264: Power xfer error"},
		}},
		"API v1": {oldMachine(), miner.Reading{
			State: miner.Hashing, HashrateTHs: new(76.71860438), Watts: new(int64(3400)), WattsSource: miner.PSU,
			Effective: new(int64(3600)), Ceiling: new(int64(3600)), Uptime: new(1405529 * time.Second),
		}},
	}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := identified(t, c.machine).Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, near); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Firmware of 2026 gives its summary as the message of API v2.
func TestSummaryAsMessage(t *testing.T) {
	m := m30s()
	m.msgs["summary"] = v2ok(`{"Elapsed":10658.685546875,"MHS av":692030656,"HS RT":692632192,"Power":9763.263333333334,"Uptime":12927,"Power Limit":9758,"Factory GHS":560974}`)
	r, err := identified(t, m).Read(t.Context())
	if err != nil || r.State != miner.Hashing || *r.Watts != 9764 || *r.Effective != 9758 || int(*r.HashrateTHs) != 692 {
		t.Errorf("reading %+v, %v", r, err)
	}
}

func TestReadStates(t *testing.T) {
	type want struct {
		state     miner.State
		watts     int64 // 0 is none
		told      int64
		effective int64
		ceiling   int64
	}
	cases := map[string]struct {
		machine *machine
		slept   bool // this driver commanded sleep before
		want    want
	}{
		"hashing": {m30s(), false, want{miner.Hashing, 3496, 0, 3600, 3600}},
		"asleep":  {m30s().asleep(), false, want{miner.Sleeping, 13, 0, 0, 0}},
		"asleep, and btminer gone: the supply's watts": {
			without30s(m30s().asleep(), "summary"), false, want{miner.Sleeping, 13, 0, 0, 0},
		},
		"asleep, and nobody says how much": {without30s(m30s().asleep(), "summary", "get_psu"), false, want{miner.Sleeping, 0, 0, 0, 0}},
		"off by its word, and drawing": {
			m30s().asleep().with("summary", `"Power":13`, `"Power":900`), false, want{miner.Stopping, 900, 0, 3600, 3600},
		},
		"off by its word, hashing, as ordered": {
			m30s().asleep().with("summary", `"HS RT":0`, `"HS RT":90000000`), true, want{miner.Stopping, 13, 0, 3600, 3600},
		},
		"off by its word, hashing, nobody asked": {
			m30s().asleep().with("summary", `"HS RT":0`, `"HS RT":90000000`), false, want{miner.Hashing, 13, 0, 3600, 3600},
		},
		"off by itself": {
			m30s().asleep().with("status", "by whatsminer api", "over temperature"), false, want{miner.Failed, 13, 0, 3600, 3600},
		},
		"off, no reason given": {
			m30s().asleep().with("status", "by whatsminer api", ""), false, want{miner.Sleeping, 13, 0, 0, 0},
		},
		"no hash rate alone is no sleep": {m30s().with("summary", `96417231.65`, `0`), false, want{miner.Starting, 3496, 0, 3600, 3600}},
		"searching frequencies": {
			m30s().with("edevs", `"Slot":1,"Upfreq Complete":1`, `"Slot":1,"Upfreq Complete":0`), false, want{miner.Starting, 3496, 0, 3600, 3600},
		},
		"no hash rate, few watts, no error": {
			m30s().with("summary", `96417231.65`, `0`).with("summary", `"Power":3496`, `"Power":40`), false, want{miner.Starting, 40, 0, 3600, 3600},
		},
		"broken": {
			m30s().with("summary", `96417231.65`, `0`).with("summary", `"Power":3496`, `"Power":40`).
				with("get_error_code", `[]`, `[{"218":"2024-06-15 10:30:00"}]`), false, want{miner.Failed, 40, 0, 3600, 3600},
		},
		"says nothing of itself": {
			m30s().with("status", `"mineroff":"false",`, ``).with("summary", `96417231.65`, `0`), false, want{miner.Unknown, 3496, 0, 3600, 3600},
		},
		"told less than it follows yet": {
			m30s().with("status", `"power_limit_set":""`, `"power_limit_set":"2500"`), false, want{miner.Hashing, 3496, 2500, 3600, 3600},
		},
		"told more than it follows": {
			m30s().with("status", `"power_limit_set":""`, `"power_limit_set":"3700"`), false, want{miner.Hashing, 3496, 3700, 3600, 3700},
		},
		"no limit named, one set": {
			m30s().with("status", `"power_limit_set":""`, `"power_limit_set":"3300"`).with("summary", `"Power Limit":3600`, `"Power Limit":0`), false,
			want{miner.Hashing, 3496, 3300, 3300, 3300},
		},
		"no limit at all":    {m30s().with("summary", `"Power Limit":3600`, `"Power Limit":99999`), false, want{miner.Hashing, 3496, 0, 0, 0}},
		"v3 asleep":          {m60s().asleep(), false, want{miner.Sleeping, 13, 0, 0, 0}},
		"v3 stopping":        {m60s().with("get.device.info", `"working":"true"`, `"working":"false"`), true, want{miner.Stopping, 3156, 0, 3600, 3600}},
		"v3 starting":        {m60s().with("get.miner.status summary", `"up-freq-finish":1`, `"up-freq-finish":0`), false, want{miner.Starting, 3156, 0, 3600, 3600}},
		"v3 without summary": {framedWithout(m60s(), "get.miner.status summary"), false, want{miner.Starting, 3264, 0, 0, 0}},
	}
	value := func(p *int64) int64 {
		if p == nil {
			return 0
		}
		return *p
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.machine)
			d.toldToSleep = c.slept
			r, err := d.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := want{r.State, value(r.Watts), value(r.TargetWatts), value(r.Effective), value(r.Ceiling)}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (r.Watts == nil) != (r.WattsSource == "") {
				t.Errorf("watts %v from %q", r.Watts, r.WattsSource)
			}
		})
	}
}

func without30s(m *machine, commands ...string) *machine {
	for _, command := range commands {
		delete(m.msgs, command)
	}
	return m
}

func framedWithout(m *machine, command string) *machine {
	delete(m.frames, command)
	return m
}

// A machine that no longer names a limit may go to the highest that it had.
func TestCeilingWithoutALimit(t *testing.T) {
	m := m30s()
	d := identified(t, m)
	m.with("summary", `"Power Limit":3600`, `"Power Limit":0`)
	r, err := d.Read(t.Context())
	if err != nil || r.Effective != nil || r.Ceiling == nil || *r.Ceiling != 3600 {
		t.Errorf("reading %+v, %v", r, err)
	}
}

func TestReadIsCheap(t *testing.T) {
	cases := map[string]struct {
		machine *machine
		want    []int
	}{
		"API v2":                         {m30s(), []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2}},
		"API v2, no word of frequencies": {without30s(m30s(), "edevs"), []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2}},
		"API v2, asleep":                 {m30s().asleep(), []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2}},
		"API v3":                         {m60s(), []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := identified(t, c.machine)
			var counts []int
			for range 13 {
				if _, err := d.Read(t.Context()); err != nil {
					t.Fatal(err)
				}
				orders, commands := c.machine.taken()
				if len(orders) != 0 || slices.Contains(commands, "get_token") {
					t.Errorf("a reading ordered %v with %v", orders, commands)
				}
				counts = append(counts, len(commands))
			}
			if diff := cmp.Diff(c.want, counts); diff != "" {
				t.Errorf("connections per reading (-want +got):\n%s", diff)
			}
		})
	}
}

// Frequencies are looked for again once the machine has stopped, or was told a new limit.
func TestFrequenciesAreAskedAgain(t *testing.T) {
	m := m30s()
	d := identified(t, m)
	m.with("summary", `96417231.65`, `0`)
	_, _ = d.Read(t.Context())
	m.with("summary", `"HS RT":0`, `"HS RT":50000000`).with("edevs", `"Upfreq Complete":1`, `"Upfreq Complete":0`)
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Starting {
		t.Errorf("%+v, %v", r, err)
	}
	m.with("edevs", `"Upfreq Complete":0`, `"Upfreq Complete":1`)
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing {
		t.Errorf("%+v, %v", r, err)
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 3000}); err != nil {
		t.Fatal(err)
	}
	m.with("edevs", `"Upfreq Complete":1`, `"Upfreq Complete":0`)
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Starting {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		reply string
		want  []string
	}{
		"none":         {v2ok(`{"error_code":[]}`), nil},
		"objects":      {v2ok(`{"error_code":[{"218":"2024-06-15 10:30:00"},{"329":"x"},{"218":"y"}]}`), []string{"error 218", "error 329"}},
		"no braces":    {v2ok(`{"error_code":["329":"2021-02-27 19:29:10","530":"x"]}`), []string{"error 329", "error 530"}},
		"other digits": {v2ok(`{"error_code":[{"code":"5"}],"7":"x"}`), nil},
		"no list":      {v2ok(`"7"`), nil},
	} {
		if diff := cmp.Diff(c.want, errorCodes([]byte(c.reply))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, c := range map[string]struct {
		list string
		want []string
	}{
		"as documented": {`[{"531":"2025-03-12 14:52:35","reason":"Slot1 not found."},{"532":"x"}]`, []string{"error 531: Slot1 not found.", "error 532"}},
		"one object":    {`{"531":"x","reason":"a"}`, []string{"error 531: a"}},
		"no list":       {`7`, nil},
		"null":          {`null`, nil},
	} {
		if diff := cmp.Diff(c.want, faultsOfV3([]byte(c.list))); diff != "" {
			t.Errorf("v3, %s (-want +got):\n%s", name, diff)
		}
	}
	d := identified(t, m60s().with("get.device.info", `"apiswitch":"1"`, `"apiswitch":"0"`))
	r, err := d.Read(t.Context())
	if err != nil || len(r.Faults) != 2 || r.Faults[1] != "it takes no orders: "+hintSwitch {
		t.Errorf("faults %q, %v", r.Faults, err)
	}
	d = identified(t, m30s().asleep().with("status", "by whatsminer api", "fan error"))
	if r, err = d.Read(t.Context()); err != nil || !cmp.Equal(r.Faults, []string{"mining is off: fan error"}) {
		t.Errorf("faults %q, %v", r.Faults, err)
	}
}

func TestMended(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, "{\"a\":1,\n}": `{"a":1}`, `{"a":[1,2,],}`: `{"a":[1,2]}`, "{\"a\nb\":1}": `{"a b":1}`,
		`{"a":",}",}`: `{"a":",}"}`, `{"a":"\",}",}`: `{"a":"\",}"}`, `{"a":"\\",}`: `{"a":"\\"}`,
	} {
		if got := string(mended([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A sensor that was not read gives 0.
func TestWarmest(t *testing.T) {
	zero, cold, warm := wire.Number{Set: true}, wire.Number{Value: -5, Set: true}, wire.Number{Value: 60, Set: true}
	if got := warmest(zero, cold, wire.Number{}); got != nil {
		t.Errorf("%v °C", *got)
	}
	if got := warmest(zero, warm, cold); got == nil || *got != 60 {
		t.Errorf("%v", got)
	}
}

func TestLimitOf(t *testing.T) {
	for text, want := range map[string]int64{`"3600"`: 3600, `3600`: 3600, `0`: 0, `""`: 0, `99999`: 0, `99998`: 99998, `"2147483647"`: 0, `-1`: 0, `null`: 0} {
		var n wire.Number
		_ = n.UnmarshalJSON([]byte(text))
		if got := limitOf(n); (got == nil) != (want == 0) || got != nil && *got != want {
			t.Errorf("%s: %v, want %d", text, got, want)
		}
	}
}
