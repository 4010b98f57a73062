package avalon_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/avalon"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: a15, count: 1, model: A1566, firmware: Avalon, firstAddress: BASE1, budget: x}
- {name: a14, count: 1, model: A1466, firmware: Avalon, firstAddress: BASE2, initial: Sleeping}
- {name: q, count: 1, model: Avalon Q, firmware: Avalon, firstAddress: BASE3, powerSource: PSU}
- {name: mini, count: 1, model: Mini 3, firmware: Avalon, firstAddress: BASE4}
- {name: nano, count: 1, model: Nano 3S, firmware: Avalon, firstAddress: BASE5}
- {name: a13, count: 1, model: A1346, firmware: Avalon, firstAddress: BASE6}
- {name: other, count: 1, model: S21, firmware: Avalon, firstAddress: BASE7}
`

// Devices of the fleet.
const (
	rack = iota
	sleeper
	q
	mini
	nano
	a13
	other
)

// rig is one machine under test.
type rig struct {
	t     *testing.T
	site  *minersim.Site
	d     *minersim.Device
	clock *simtest.Clock
}

func start(t *testing.T, device int) *rig {
	site, clock := simtest.Start(t, map[string]minersim.Front{"Avalon": avalon.New()}, fleet)
	return &rig{t: t, site: site, d: site.Fleet.Devices[device], clock: clock}
}

// raw sends bytes on a connection of their own, without an end, and reads to its close.
func (r *rig) raw(request string) (string, error) {
	c, err := net.DialTimeout("tcp", r.d.Address.String(), time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(request)); err != nil {
		return "", err
	}
	out, err := io.ReadAll(c)
	return string(out), err
}

// text sends a command as text; the reply must end in a bar and a NUL.
func (r *rig) text(command string) string {
	r.t.Helper()
	out, err := r.raw(command)
	body, ok := strings.CutSuffix(out, "|\x00")
	if err != nil || !ok {
		r.t.Fatalf("%s: %q %v", command, out, err)
	}
	return body
}

// set sends a setting as text and checks how it was taken.
func (r *rig) set(setting, letter string, code int, message string) {
	r.t.Helper()
	want := fmt.Sprintf(",Code=%d,Msg=%s,Description=cgminer 4.11.1", code, message)
	if got := r.text("ascset|0," + setting); !strings.HasPrefix(got, "STATUS="+letter+",When=") || !strings.Contains(got, want) {
		r.t.Fatalf("%s: %q, want %s %s", setting, got, letter, want)
	}
}

func (r *rig) ok(setting string) { r.t.Helper(); r.set(setting, "S", 119, "ASC 0 set OK") }

// refused checks that a setting is, and that the watts stay.
func (r *rig) refused(setting, why string) {
	r.t.Helper()
	before := r.d.Watts()
	r.set(setting, "E", 120, "ASC 0 set failed: "+why)
	r.clock.Advance(10 * time.Minute)
	if after := r.d.Watts(); !near(after, before, 2) {
		r.t.Errorf("%s was refused, but %.0f W became %.0f W", setting, before, after)
	}
}

type status struct {
	STATUS, Msg, Description string
	Code                     int
	When                     int64
}

// ask sends a command as JSON and takes the reply apart.
func (r *rig) ask(command, parameter, section string, into any) []status {
	r.t.Helper()
	q := map[string]string{"command": command}
	if parameter != "" {
		q["parameter"] = parameter
	}
	b, _ := json.Marshal(q)
	out, err := r.raw(string(b))
	body, ok := strings.CutSuffix(out, "\x00")
	var got map[string]json.RawMessage
	if err != nil || !ok || json.Unmarshal([]byte(body), &got) != nil || string(got["id"]) != "1" {
		r.t.Fatalf("%s: %q %v", b, out, err)
	}
	var st []status
	if err := json.Unmarshal(got["STATUS"], &st); err != nil || len(st) != 1 {
		r.t.Fatalf("%s: %q %v", b, out, err)
	}
	if into != nil {
		if err := json.Unmarshal(got[section], into); err != nil {
			r.t.Fatalf("%s: %v in %q", b, err, out)
		}
	}
	return st
}

// machine reads the long string, key by key; of a Q with the boards.
func (r *rig) machine() map[string]string {
	r.t.Helper()
	var rows []map[string]any
	r.ask("estats", "", "STATS", &rows)
	blob, ok := rows[0]["MM ID0"].(string)
	if !ok {
		blob = rows[0]["MM ID0:Summary"].(string) + rows[0]["HBinfo"].(string)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)\[([^]]*)]`).FindAllStringSubmatch(blob, -1) {
		out[m[1]] = strings.TrimSpace(m[2])
	}
	return out
}

// wall is the seventh number the supply shows.
func (r *rig) wall() float64 {
	r.t.Helper()
	parts := strings.Fields(r.machine()["PS"])
	if len(parts) != 7 {
		r.t.Fatalf("PS %v", parts)
	}
	return float(r.t, parts[6])
}

func float(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// asleep checks that the machine says so and truly is.
func (r *rig) asleep() {
	r.t.Helper()
	if m := r.machine(); !strings.HasPrefix(m["SYSTEMSTATU"], "Work: In Idle,") || m["GHSspd"] != "0.00" || r.d.Watts() > 25 {
		r.t.Errorf("%s, %s GH/s, %.0f W", m["SYSTEMSTATU"], m["GHSspd"], r.d.Watts())
	}
}

// hashes checks that the machine says so and truly draws so much.
func (r *rig) hashes(watts float64) {
	r.t.Helper()
	if m := r.machine(); !strings.HasPrefix(m["SYSTEMSTATU"], "Work: In Work,") || m["SoftOFF"] != "0" || !near(r.d.Watts(), watts, 5) || !near(r.wall(), watts, 6) {
		r.t.Errorf("%s, SoftOFF %s, %.0f W, says %.0f W, want %.0f W", m["SYSTEMSTATU"], m["SoftOFF"], r.d.Watts(), r.wall(), watts)
	}
}

// at is a second of the world's clock, so far from now.
func (r *rig) at(d time.Duration) string { return strconv.FormatInt(r.clock.Now().Add(d).Unix(), 10) }

func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }
