package whatsminer_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/whatsminer"
)

func TestFrames(t *testing.T) {
	r := start(t, v3)
	c := r.dial()
	defer func() { _ = c.Close() }()
	// One connection serves many requests.
	for request, code := range map[string]int{
		`{"cmd":"get.device.info","param":"miner"}`: 0, `{"cmd":"get.device.info","param":"luck"}`: -2, `{"cmd":"dance"}`: -2,
		`{"cmd":"get.miner.status"}`: -3, `{"cmd":"get.miner.status","param":"luck"}`: -2, `hello`: -2, `{}`: -2,
		`{"cmd":"get.miner.status","param":"summary+edevs"}`: 0, `{"cmd":"set.dance"}`: -2, `{"cmd":"set.miner.service","param":"stop"}`: -1,
	} {
		got, err := exchange(c, request)
		if err != nil || got.Code != code || got.When != r.clock.Now().Unix() {
			t.Errorf("%s: %+v %v", request, got, err)
		}
		if isText := strings.HasPrefix(string(got.Msg), `"`); isText != (code != 0) {
			t.Errorf("%s: %s", request, got.Msg)
		}
	}
	// A frame of no or of absurd length ends the connection.
	for _, n := range []uint32{0, 1 << 30, binary.BigEndian.Uint32([]byte{21, 0, 0, 0})} {
		c := r.dial()
		_, _ = c.Write(binary.LittleEndian.AppendUint32(nil, n))
		if out, _ := io.ReadAll(c); len(out) != 0 {
			t.Errorf("a frame of %d: %q", n, out)
		}
		_ = c.Close()
	}
	long := binary.LittleEndian.AppendUint32(nil, 16<<10+1)
	if body, err := whatsminer.ReadFrame(bytes.NewReader(append(long, make([]byte, 16<<10+1)...))); err == nil {
		t.Errorf("took a frame of %d", len(body))
	}
}

func TestReadsV3(t *testing.T) {
	r := start(t, v3)
	s := r.summary3().Summary
	if math.Abs(s.Hash-390) > 12 || math.Abs(s.Factory-390) > 12 || math.Abs(s.Power-r.d.Watts()) > 80 {
		t.Errorf("%+v", s)
	}
	if math.Abs(s.Rate-s.Power/s.Hash) > 0.1 || s.Searched != 1 || math.Abs(s.Limit/7547-1) > 0.04 || len(s.Boards) != 4 {
		t.Errorf("%+v", s)
	}
	var all struct {
		Miner   struct{ Working, Type string }
		Network struct{ Mac string }
		System  struct{ Apiswitch, Fwversion string }
		Power   struct{ Pin, Vin, Iin float64 }
		Salt    string
		Errors  []any `json:"error-code"`
	}
	if code := r.ask3("get.device.info", "", &all); code != 0 || all.Miner.Working != "true" || all.Miner.Type != "M63S_VK40" ||
		all.Network.Mac != strings.ToUpper(r.d.MAC) || all.System.Apiswitch != "1" || len(all.Salt) != 8 || all.Errors == nil || len(all.Errors) != 0 {
		t.Errorf("%d %+v", code, all)
	}
	if all.Power.Pin != s.Power || math.Abs(all.Power.Vin*all.Power.Iin-s.Power) > 2 {
		t.Errorf("%+v", all.Power)
	}
	var boards struct {
		Edevs []struct {
			Hash float64 `json:"hash-average"`
			Slot int
		}
	}
	r.ask3("get.miner.status", "edevs", &boards)
	if len(boards.Edevs) != 4 || math.Abs(4*boards.Edevs[3].Hash/s.Hash-1) > 0.03 || boards.Edevs[3].Slot != 3 {
		t.Errorf("%+v", boards)
	}
}

// setting is what get.miner.setting tells.
type setting struct {
	Limit    float64 `json:"power-limit"`
	Mode     string  `json:"power-mode"`
	FastBoot string  `json:"fast-boot"`
	Percent  float64 `json:"power-percent"`
	Power    float64
}

func (r *rig) setting() (s setting) {
	r.t.Helper()
	r.ask3("get.miner.setting", "", &s)
	return s
}

// TestWhoMayWrite: the token is good for one command, and user accounts may only read.
func TestWhoMayWrite(t *testing.T) {
	r := start(t, v3)
	good := r.signed("set.miner.service", "stop", "super")
	user := *r
	user.password = "user1"
	wrong := *r
	wrong.password = "admin"
	for request, want := range map[string]int{
		wrong.signed("set.miner.service", "stop", "super"):               -1,
		r.signed("set.miner.service", "stop", "root"):                    -1,
		strings.Replace(good, "set.miner.service", "set.miner.power", 1): -1,
		strings.Replace(good, "1700000000", "1700000001", 1):             -1,
		user.signed("set.miner.service", "stop", "user1"):                -4,
		strings.Replace(good, `"param":"stop",`, ``, 1):                  -3,
		strings.Replace(good, `"stop"`, `"dance"`, 1):                    -1,
		strings.Replace(good, `"ts":1700000000`, `"ts":"1700000000"`, 1): -1,
	} {
		c := r.dial()
		got, err := exchange(c, request)
		if err != nil || got.Code != want {
			t.Errorf("%s: %+v %v, want %d", request, got, err, want)
		}
		_ = c.Close()
	}
	r.clock.Advance(time.Minute)
	if r.working() != "true" || r.d.Watts() < 6000 {
		t.Errorf("stopped all the same: %.0f W", r.d.Watts())
	}

	shut := r.at(v3shut)
	if code := shut.set("set.miner.service", "start"); code != -4 || shut.working() != "false" {
		t.Errorf("with the switch off: %d", code)
	}
}

func TestService(t *testing.T) {
	r := start(t, v3fast)
	full := r.d.Watts()
	if code := r.set("set.miner.service", "stop"); code != 0 || r.working() != "false" {
		t.Errorf("%d, working %s", code, r.working())
	}
	r.clock.Advance(15 * time.Second)
	r.asleep("15 s after stop")
	if s := r.summary3().Summary; s.Hash != 0 || s.Searched != 0 {
		t.Errorf("%+v", s)
	}
	r.set("set.miner.service", "start")
	r.clock.Advance(10 * time.Second)
	if w := r.d.Watts(); w < 50 || w > full/4 {
		t.Errorf("%.0f W ten seconds after start", w)
	}
	r.clock.Advance(time.Minute)
	r.settled(full, 3, "a minute after start")
	r.set("set.miner.service", "restart")
	r.clock.Advance(5 * time.Second)
	r.asleep("in a restart")
	if code := r.ask3("get.miner.status", "summary", nil); code != -1 {
		t.Errorf("summary in a restart: %d", code)
	}
	if r.working() != "true" {
		t.Error("not working in a restart")
	}
}

func TestSettingsV3(t *testing.T) {
	r := start(t, v3fast)
	full := r.d.Watts()
	for _, watts := range []any{5000, 5000.0, "5000"} {
		if code := r.set("set.miner.power_limit", watts); code != 0 || r.setting().Limit != 5000 {
			t.Errorf("%v: %d %+v", watts, code, r.setting())
		}
	}
	r.clock.Advance(5 * time.Second)
	r.asleep("in the restart")
	r.clock.Advance(2 * time.Minute)
	r.settled(5000, 2, "limited")
	for _, watts := range []any{-1, 100000, 5000.5, "much", []int{1}} {
		if code := r.set("set.miner.power_limit", watts); code != -1 {
			t.Errorf("%v: %d", watts, code)
		}
	}
	r.set("set.miner.power_limit", 99999)
	r.clock.Advance(2 * time.Minute)

	if code := r.set("set.miner.power", 6000); code != 0 {
		t.Errorf("power: %d", code)
	}
	r.clock.Advance(62 * time.Second)
	r.settled(6000, 2, "set.miner.power")
	r.set("set.miner.service", "restart")
	r.clock.Advance(2 * time.Minute)
	for _, param := range []any{map[string]any{"percent": "60", "mode": "fast"}, `{"percent":60,"mode":"fast"}`} {
		if code := r.set("set.miner.power_percent", param); code != 0 || r.setting().Percent != 60 {
			t.Errorf("%v: %d %+v", param, code, r.setting())
		}
	}
	r.clock.Advance(time.Second)
	r.settled(0.6*full, 2, "60 %, fast")
	r.set("set.miner.power_percent", map[string]any{"percent": 100, "mode": "normal"})
	r.clock.Advance(time.Minute)
	if w := r.d.Watts(); w > 0.8*full {
		t.Errorf("%.0f W a minute into a slow percentage", w)
	}
	r.clock.Advance(3 * time.Minute)
	r.settled(full, 2, "100 %")
	if p := r.setting().Percent; p != 0 {
		t.Errorf("no percentage is %g", p)
	}
	for _, param := range []any{60, "much", map[string]any{"percent": 101}, nil} {
		if code := r.set("set.miner.power_percent", param); code == 0 {
			t.Errorf("%v was taken", param)
		}
	}
	r.set("set.miner.fastboot", "disable")
	if r.setting().FastBoot != "disable" || r.set("set.miner.fastboot", "maybe") != -1 || r.set("set.miner.upfreq_speed", 11) != -1 {
		t.Errorf("%+v", r.setting())
	}
}

// TestModeCommand: which name sets the mode depends on the firmware.
func TestModeCommand(t *testing.T) {
	site := start(t, v2)
	for which, names := range map[int][2]string{
		v3: {"set.miner.power_mode", "set.miner.mode"}, v3fast: {"set.miner.mode", "set.miner.power_mode"},
	} {
		r := site.at(which)
		full := r.d.Watts()
		if code := r.set(names[1], "low"); code != -2 {
			t.Errorf("%s: %d", names[1], code)
		}
		if code := r.set(names[0], "low"); code != 0 || r.setting().Mode != "low" || r.set(names[0], "lowest") != -1 {
			t.Errorf("%s: %d %+v", names[0], code, r.setting())
		}
		r.clock.Advance(16 * time.Minute)
		r.settled(0.8*full, 3, names[0])
	}
}

// TestRebootV3 drops the connection; disable is for the next boot only.
func TestRebootV3(t *testing.T) {
	r := start(t, v3)
	full := r.d.Watts()
	r.set("set.miner.service", "disable")
	r.clock.Advance(time.Minute)
	r.settled(full, 3, "disabled while it runs")
	reboot := func(command string) {
		t.Helper()
		c := r.dial()
		defer func() { _ = c.Close() }()
		if got, err := exchange(c, r.signed(command, nil, "super")); err == nil {
			t.Errorf("%s: %+v", command, got)
		}
	}
	reboot("set.system.reboot")
	r.clock.Advance(20 * time.Minute)
	if r.asleep("after a reboot"); r.working() != "false" {
		t.Error("working")
	}
	r.set("set.miner.power_limit", 5000)
	r.set("set.miner.service", "start")
	r.clock.Advance(16 * time.Minute)
	r.settled(5000, 2, "started by hand")
	reboot("set.miner.restore_setting")
	r.clock.Advance(20 * time.Minute)
	r.settled(full, 3, "with the factory's settings")
}

func TestQuirksV3(t *testing.T) {
	r := start(t, v3fast)
	var all struct {
		System struct{ Fwversion string }
	}
	r.ask3("get.device.info", "system", &all)
	if s := r.summary3().Summary; all.System.Fwversion != "'20251209.16.Rel2'" || s.Boards == nil || len(s.Boards) != 0 {
		t.Errorf("%+v %+v", all, s)
	}
	b, _ := json.Marshal(r.setting())
	if !json.Valid(b) {
		t.Errorf("%s", b)
	}
}

// TestAnotherMasterSetsItBack: there are no sessions, and whoever writes last is obeyed.
func TestAnotherMasterSetsItBack(t *testing.T) {
	r := start(t, v3fast)
	full := r.d.Watts()
	r.persona(minersim.Busy)
	if code := r.set("set.miner.service", "stop"); code != 0 {
		t.Fatalf("code %d", code)
	}
	r.clock.Advance(15 * time.Second)
	r.asleep("before the other comes back")
	r.clock.Advance(3 * time.Minute)
	r.settled(full, 3, "after it came back")
	r.persona(minersim.Good)
	r.persona(minersim.Busy)
	if code := r.set("set.miner.power_limit", 4000); code != 0 {
		t.Fatalf("code %d", code)
	}
	r.clock.Advance(10 * time.Minute)
	r.settled(full, 3, "with the limit of the other")
}
