package vnish

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

func wireText(s string) wire.Text { return wire.Text(s) }

const pending = `{"restart_required":true,"reboot_required":false}`

func TestApply(t *testing.T) {
	cases := map[string]struct {
		state   string
		change  func(*machine)
		setting miner.Setting
		want    []string
		err     error
	}{
		"sleep":                       {"mining", nil, miner.Setting{Kind: miner.Sleep}, []string{"mining/stop"}, nil},
		"wake as it was":              {"stopped", nil, miner.Setting{Kind: miner.HashMode}, []string{"mining/start"}, nil},
		"wake from a pause":           {"paused", nil, miner.Setting{Kind: miner.HashMode}, []string{"mining/resume"}, nil},
		"wake after a failure":        {"failure", nil, miner.Setting{Kind: miner.HashMode}, []string{"mining/start"}, nil},
		"wake in an unknown state":    {"dreaming", nil, miner.Setting{Kind: miner.HashMode}, []string{"mining/start"}, nil},
		"awake already":               {"auto-tuning", nil, miner.Setting{Kind: miner.HashMode}, nil, nil},
		"on its way up":               {"initializing", nil, miner.Setting{Kind: miner.HashMode}, nil, nil},
		"preset, no restart wanted":   {"mining", nil, miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings"}, nil},
		"preset, restart wanted":      {"mining", replies(pending), miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings", "mining/restart"}, nil},
		"preset asleep":               {"stopped", nil, miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings", "mining/start"}, nil},
		"preset asleep, restart":      {"stopped", replies(pending), miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings", "mining/restart"}, nil},
		"preset set already":          {"mining", nil, miner.Setting{Kind: miner.HashMode, Mode: "2700"}, nil, nil},
		"preset set already, asleep":  {"stopped", nil, miner.Setting{Kind: miner.HashMode, Mode: "2700"}, []string{"mining/start"}, nil},
		"preset set, waits since":     {"mining", waits, miner.Setting{Kind: miner.HashMode, Mode: "2700"}, []string{"mining/restart"}, nil},
		"watts between two":           {"mining", nil, miner.Setting{Kind: miner.HashWatts, Watts: 2699}, []string{"settings"}, nil},
		"watts below all":             {"mining", nil, miner.Setting{Kind: miner.HashWatts, Watts: 1739}, nil, miner.ErrOutOfRange},
		"untuned preset":              {"mining", nil, miner.Setting{Kind: miner.HashMode, Mode: "2970"}, nil, miner.ErrUnsupported},
		"preset for a modded supply":  {"mining", nil, miner.Setting{Kind: miner.HashMode, Mode: "3900"}, nil, miner.ErrUnsupported},
		"clocks by hand":              {"mining", nil, miner.Setting{Kind: miner.HashMode, Mode: manual}, nil, miner.ErrUnsupported},
		"no kind":                     {"mining", nil, miner.Setting{}, nil, miner.ErrUnsupported},
		"switcher turned on meantime": {"mining", switchesOn, miner.Setting{Kind: miner.HashMode, Mode: "2300"}, nil, miner.ErrUnsupported},
		"no longer tuned":             {"mining", untunes, miner.Setting{Kind: miner.HashMode, Mode: "2300"}, nil, miner.ErrUnsupported},
		"yes without an effect":       {"mining", func(m *machine) { m.keeps = true }, miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings"}, miner.ErrHalfApplied},
		"reboot wanted":               {"mining", replies(`{"restart_required":true,"reboot_required":true}`), miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings"}, miner.ErrHalfApplied},
		"a reply that does not say":   {"mining", saysLater, miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings", "mining/restart"}, nil},
		"a reply that is none":        {"mining", replies(`<html>`), miner.Setting{Kind: miner.HashMode, Mode: "2300"}, []string{"settings"}, miner.ErrHalfApplied},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19()
			d := identified(t, m)
			m.is(c.state)
			if c.change != nil {
				c.change(m)
			}
			err := d.Apply(t.Context(), c.setting)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, m.Commands()); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func replies(to string) func(*machine) {
	return func(m *machine) { m.Replies["POST settings"] = to }
}

func waits(m *machine) {
	m.Replies["GET status"] = `{"miner_state":"mining","restart_required":true}`
}

// saysLater is a machine whose reply to settings says nothing, and whose status does then.
func saysLater(m *machine) {
	m.Replies["POST settings"] = `{}`
	m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "settings") {
			waits(m)
		}
		return false
	}
}

func switchesOn(m *machine) { m.Replies["GET settings"] = settingsText("2700", true) }

func untunes(m *machine) {
	m.Replies["GET autotune/presets"] = strings.ReplaceAll(m.Replies["GET autotune/presets"], `"tuned"`, `"untuned"`)
}

// What is written: every field of the overclock settings as it was, but for the preset and its own clocks.
// Nothing else of the settings goes out, mining pools least of all.
func TestWrittenSettings(t *testing.T) {
	const tunedClocks = `{"miner":{"overclock":{"modded_psu":false,"preset":"2300","globals":{"volt":1421,"freq":570},
		"chains":[{"freq":570,"chips":[564,564],"disabled":false},{"freq":564,"chips":[552,552],"disabled":true}],"preset_switcher":SWITCHER}}}`
	const oldClocks = `{"miner":{"overclock":{"modded_psu":false,"preset":"1740","globals":{"volt":1270,"freq":555},
		"chains":[{"freq":555,"chips":[0,0],"disabled":false},{"freq":555,"chips":[0,0],"disabled":true}],"preset_switcher":SWITCHER}}}`
	for preset, want := range map[string]string{"2300": tunedClocks, "1740": oldClocks} {
		m := s19()
		d := identified(t, m)
		if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode, Mode: preset}); err != nil {
			t.Fatal(err)
		}
		want = strings.Replace(want, "SWITCHER", switcherText(false), 1)
		for _, line := range m.Taken() {
			if body, ok := strings.CutPrefix(line, "POST settings "); ok {
				if diff := cmp.Diff(parsed(t, want), parsed(t, body)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", preset, diff)
				}
			}
		}
	}
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A target that was set is in the next reading at once.
func TestTargetAfterApply(t *testing.T) {
	m := s19()
	d := identified(t, m)
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode, Mode: "2300"}); err != nil {
		t.Fatal(err)
	}
	r, err := d.Read(t.Context())
	if err != nil || *r.TargetWatts != 2300 || *r.Ceiling != 2700 {
		t.Errorf("%+v, %v", r, err)
	}
}

// An error says "surely not done" only where that is so.
func TestApplyErrors(t *testing.T) {
	sleep := miner.Setting{Kind: miner.Sleep}
	preset := miner.Setting{Kind: miner.HashMode, Mode: "2300"}
	cases := map[string]struct {
		setting    miner.Setting
		path       string
		status     int
		want       error // nil: none of the known ones
		notApplied bool
	}{
		"stop refused":            {sleep, "POST mining/stop", 400, miner.ErrRefused, true},
		"stop not there":          {sleep, "POST mining/stop", 404, miner.ErrUnsupported, true},
		"stop forbidden":          {sleep, "POST mining/stop", 403, miner.ErrToken, true},
		"stop failed inside":      {sleep, "POST mining/stop", 500, nil, false},
		"settings unreadable":     {preset, "GET settings", 400, miner.ErrRefused, true},
		"settings refused":        {preset, "POST settings", 400, miner.ErrRefused, true},
		"settings failed inside":  {preset, "POST settings", 500, nil, false},
		"restart refused, preset": {preset, "POST mining/restart", 400, miner.ErrHalfApplied, false},
		"restart lost its rights": {preset, "POST mining/restart", 401, miner.ErrHalfApplied, false},
		"status unreadable":       {preset, "GET status", 429, miner.ErrBusy, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19()
			m.Replies["POST settings"] = pending
			d := identified(t, m)
			m.Fail(c.path, c.status)
			err := d.Apply(t.Context(), c.setting)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || miner.NotApplied(err) != c.notApplied {
				t.Errorf("error %v, surely not applied: %v", err, miner.NotApplied(err))
			}
			if err != nil && strings.Contains(err.Error(), "p00l-pass") {
				t.Errorf("error %q tells a secret", err)
			}
		})
	}
}

// A connection that the machine closed is opened anew once; one that dies twice may have carried the order.
func TestLostConnection(t *testing.T) {
	for dies, want := range map[int]bool{1: true, 2: false} {
		m := s19()
		d := identified(t, m)
		left := dies
		m.Before = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "mining/start") && left > 0 {
				left--
				panic(http.ErrAbortHandler)
			}
			return false
		}
		m.is("stopped")
		err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashMode})
		if (err == nil) != want || miner.NotApplied(err) {
			t.Errorf("%d lost: error %v", dies, err)
		}
	}
}
