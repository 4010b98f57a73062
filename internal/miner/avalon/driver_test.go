package avalon

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestIdentify(t *testing.T) {
	cases := map[string]struct {
		m    *machine
		want miner.Identity
	}{
		"A15": {a1566(), miner.Identity{
			FirmwareVersion: "24102401_25462b2_9ddf522", Model: "AvalonMiner 15-194", MAC: "12:34:56:78:90:12", Serial: "020100008c699117",
		}},
		"A13, without MAC and DNA": {a1346(), miner.Identity{FirmwareVersion: "24041001_08b0955_0196aba", Model: "AvalonMiner 1346-110"}},
		"Q": {q(), miner.Identity{
			FirmwareVersion: "25052801_14a19a2", Model: "Avalon Q", MAC: "00:e0:4c:30:f1:f1", Serial: "020100002fa7f22f",
		}},
		"A10, text, no DNA": {a1066(), miner.Identity{
			FirmwareVersion: "19090589_789f8e9t_965ebdct", Model: "AvalonMiner 10xx", MAC: "aa:a5:83:6a:0f:14",
		}},
		"no product": {unnamed(), miner.Identity{
			FirmwareVersion: "24102401_25462b2_9ddf522", Model: "Avalon 15-194", Serial: "020100008c699117",
		}},
		"A7, of which only statistics tell": {a741(), miner.Identity{FirmwareVersion: "3162860", Model: "Avalon 741"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.want.Firmware = miner.Avalon
			target := c.m.serve(t)
			got, err := New(target).Identify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if orders, _ := c.m.taken(); len(orders) > 0 {
				t.Errorf("it was told %q", orders)
			}
			if err := Probe(t.Context(), target); err != nil {
				t.Errorf("probe: %v", err)
			}
		})
	}
}

// unnamed has lost its product's name, as boards do that were flashed anew.
func unnamed() *machine {
	m := a1566()
	m.version = `"HWTYPE":"MM4v2_X3","SWTYPE":"MM319","DNA":"020100008c699117"`
	return m
}

// a741 is a controller of 2017, whose version names nothing but its mining program.
func a741() *machine {
	m := a1566()
	m.version = `"CGMiner":"4.10.0","API":"3.7"`
	m.modules = map[string]string{"stats": "Ver[7411706-3162860] DNA[013cae6bfb1bb6c6] Elapsed[183] LW[8074] Temp[38] TMax[93] Fan[4110] GHSmm[7078.84]"}
	return m
}

func TestIdentifyErrors(t *testing.T) {
	cases := map[string]func(*machine){
		"another cgminer":   func(m *machine) { m.version = `"CGMiner":"4.11.1","API":"3.7"` },
		"LuxOS":             func(m *machine) { m.version = `"LUXminer":"2025.4.8","Type":"Antminer S21"` },
		"another make":      func(m *machine) { m.version = `"PROD":"Antminer S19","DNA":"1"` },
		"invalid command":   func(m *machine) { m.refuse = map[string]string{"version": "Invalid command"} },
		"closes at once":    func(m *machine) { m.silent = map[string]bool{"version": true} },
		"text of no Avalon": func(m *machine) { m.text, m.version = true, `"CGMiner":"4.11.1"` },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			m := a1566()
			m.modules = nil
			change(m)
			target := m.serve(t)
			_, err := New(target).Identify(t.Context())
			if !errors.Is(err, miner.ErrNotThisFirmware) || !strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("error %v is no ErrNotThisFirmware with an address", err)
			}
			if err := Probe(t.Context(), target); !errors.Is(err, miner.ErrNotThisFirmware) {
				t.Errorf("probe: error %v is no ErrNotThisFirmware", err)
			}
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(listener.Addr().String())
	listener.Close()
	_, err = New(miner.Target{Address: at.Addr(), Port: int(at.Port())}).Identify(t.Context())
	if !errors.Is(err, miner.ErrUnreachable) || errors.Is(err, miner.ErrNotThisFirmware) {
		t.Errorf("error %v is no ErrUnreachable", err)
	}
}

func TestCapabilities(t *testing.T) {
	sleeps := miner.Capabilities{
		Sleep: true, ResidualWatts: 50,
		SleepTiming: miner.Timing{Typical: 15 * time.Second, Worst: 60 * time.Second},
		WakeTiming:  miner.Timing{Typical: 3 * time.Minute, Worst: 6 * time.Minute},
	}
	a15 := sleeps
	a15.NameplateTHs, a15.NameplateWatts = 194, 3726 // 3515 W of the boards, and 6 % more as it is seen to lose
	moded := sleeps
	moded.Modes = []miner.Mode{
		{Name: "eco", Watts: 840, THs: 52.5}, {Name: "standard", Watts: 1365, THs: 80}, {Name: "super", Watts: 1680, THs: 90},
	}
	moded.NameplateWatts, moded.NameplateTHs = 1680, 90
	moded.TrimTiming = miner.Timing{Typical: time.Minute, Worst: 6 * time.Minute, Restarts: true}
	unmeasured := moded
	unmeasured.Modes = []miner.Mode{
		{Name: "eco", Watts: 880, THs: 52.5}, {Name: "standard", Watts: 1430, THs: 80}, {Name: "super", Watts: 1760, THs: 90},
	}
	unmeasured.NameplateWatts = 1760
	fixed := unmeasured
	fixed.Modes, fixed.TrimTiming = nil, miner.Timing{}
	nano := miner.Capabilities{ResidualWatts: 50, NameplateWatts: 147}
	cases := map[string]struct {
		m    *machine
		want miner.Capabilities
	}{
		"A15, its loss measured":        {a1566(), a15},
		"Q, its loss measured":          {q(), moded},
		"Q, met asleep":                 {q().asleepQ(), unmeasured},
		"Q, of which nothing is listed": {unlisted(), fixed},
		"A10":                           {a1066(), sleeps},
		"Nano 3S has no order to sleep": {nano3s(), nano},
		"several modules":               {rig(), miner.Capabilities{ResidualWatts: 50, NameplateTHs: 194}},
		"no modules":                    {blind(), miner.Capabilities{ResidualWatts: 50, NameplateTHs: 194}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, identified(t, c.m).Capabilities()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func unlisted() *machine {
	m := q().asleepQ()
	m.help = ""
	return m
}

// nano3s was recorded; what it lists is what its published source has.
func nano3s() *machine {
	m := q()
	m.name = "MM ID0"
	m.version = `"PROD":"Avalon Nano3s","MODEL":"Nano3s","HWTYPE":"N_MM1v1_X1","SWTYPE":"MM319","LVERSION":"25021401_56abae7","DNA":"02010000bd448216"`
	m.help = "help|voltage|fan-spd|ledmode|ledset|lcd|workmode|worklevel|work_mode_lvl|reboot|filter-clean|facopts|faclock|frequency|loop|password|qr_auth|"
	m.modules["stats"] = "Ver[Nano3s-25021401_56abae7] LED[0-0] SYSTEMSTATU[Work: In Work, Hash Board: 1] Elapsed[10027] BOOTBY[0x01.00000000] ITemp[-273] " +
		"OTemp[65] TMax[95] TAvg[90] PS[0 0 27541 4 0 3756 133] GHSspd[6598.84] GHSmm[6783.65] SoftOFF[0] ECHU[0] ECMM[0] WORKMODE[2] WORKLEVEL[0] MPO[133]"
	return m
}

// rig is one controller of two modules.
func rig() *machine {
	m := a1566()
	m.two = true
	return m
}

func blind() *machine {
	m := a1566()
	m.modules = nil
	return m
}

func TestRatedTHs(t *testing.T) {
	for model, want := range map[string]float64{
		"1346-110": 110, "15-194": 194, "1166Pro-S-68": 68, "10xx": 0, "Q": 0, "nano3-25": 0, "1066-": 0, "": 0, "1066-19101244": 0, "-90": 0,
	} {
		if got := ratedTHs(model); got != want {
			t.Errorf("%q is rated %v TH/s, want %v", model, got, want)
		}
	}
}
