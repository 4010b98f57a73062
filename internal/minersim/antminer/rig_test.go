package antminer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/antminer"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: new, count: 1, model: S21, firmware: Antminer, firstAddress: BASE1, budget: x, ports: {Antminer: 18084}}
- {name: newest, count: 1, model: S19 XP, firmware: Antminer, firmwareVersion: 2026-06, firstAddress: BASE2, ports: {Antminer: 18084}}
- {name: old, count: 1, model: S19j Pro, firmware: Antminer, firmwareVersion: 2022-12, firstAddress: BASE3, password: secret, ports: {Antminer: 18084}}
- {name: form, count: 1, model: T17+, firmware: Antminer, firmwareVersion: 2020-06, firstAddress: BASE4, ports: {Antminer: 18084}}
- {name: restless, count: 1, model: S9i, firmware: Antminer, firmwareVersion: 2018-11, firstAddress: BASE6, initial: Sleeping, ports: {Antminer: 18084}}
- {name: asleep, count: 1, model: S19 XP Hyd, firmware: Antminer, firstAddress: BASE5, username: me, password: secret, initial: Sleeping, ports: {Antminer: 18084}}
`

// Devices of the fleet.
const (
	young    = 0
	youngest = 1
	old      = 2
	form     = 3
	restless = 4
	asleep   = 5
)

// rig is one machine under test.
type rig struct {
	t     *testing.T
	site  *minersim.Site
	d     *minersim.Device
	clock *simtest.Clock
	http  http.Client
}

func start(t *testing.T, device int) *rig {
	front := antminer.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"Antminer": front}, fleet)
	r := &rig{t: t, site: site, clock: clock}
	r.to(device)
	return r
}

// to turns to another machine of the fleet.
func (r *rig) to(device int) {
	r.d = r.site.Fleet.Devices[device]
	username, password := "root", "root"
	if r.d.Password != "" {
		password = r.d.Password
	}
	if r.d.Username != "" {
		username = r.d.Username
	}
	r.login(username, password)
}

func (r *rig) login(username, password string) {
	r.http.Transport = simtest.Signing(username, password)
}

func (r *rig) send(method, path, body string) (int, []byte, error) {
	r.t.Helper()
	return simtest.Send(r.t, &r.http, method, fmt.Sprintf("http://%s/%s", r.d.Address, path), body)
}

// page asks for a page that must have the given status, and reads its JSON.
func (r *rig) page(status int, method, name, body string, into any) []byte {
	r.t.Helper()
	code, out, err := r.send(method, "cgi-bin/"+name+".cgi", body)
	if err != nil || code != status {
		r.t.Fatalf("%s %s %s: %d %q %v, want %d", method, name, body, code, out, err, status)
	}
	if into != nil {
		if err := json.Unmarshal(out, into); err != nil {
			r.t.Fatalf("%s: %v in %q", name, err, out)
		}
	}
	return out
}

func (r *rig) get(name string, into any) []byte {
	r.t.Helper()
	return r.page(200, "GET", name, "", into)
}

type said struct{ Stats, Code, Msg string }

// post writes, on machines that answer at once.
func (r *rig) post(name, body string) (reply said) {
	r.t.Helper()
	r.page(200, "POST", name, body, &reply)
	return reply
}

// slowly writes on a machine that takes its time, and moves the clock for it.
func (r *rig) slowly(name, body string, wait time.Duration) []byte {
	r.t.Helper()
	type reply struct {
		out []byte
		err error
	}
	done := make(chan reply, 1)
	go func() {
		_, out, err := r.send("POST", "cgi-bin/"+name+".cgi", body)
		done <- reply{out, err}
	}()
	r.clock.AwaitWaiter()
	r.clock.Advance(wait - time.Second)
	select {
	case got := <-done:
		r.t.Fatalf("replied %q %v before its time", got.out, got.err)
	default:
	}
	r.clock.Advance(time.Second)
	got := <-done
	if got.err != nil {
		r.t.Fatal(got.err)
	}
	return got.out
}

// ask sends one command to a port that speaks as cgminer does; nil where it is cut off.
func (r *rig) ask(request string) []byte {
	r.t.Helper()
	out := simtest.Ask(r.t, r.d.Doors[0], request)
	if out == nil {
		return nil
	}
	if len(out) == 0 || out[len(out)-1] != 0 {
		r.t.Fatalf("%s: %q does not end in NUL", request, out)
	}
	return out[:len(out)-1]
}

// row is the last of a section of a reply, which is where the data is.
func row(t *testing.T, reply []byte, section string) map[string]any {
	t.Helper()
	var all map[string]json.RawMessage
	var rows []map[string]any
	if err := json.Unmarshal(reply, &all); err != nil || json.Unmarshal(all[section], &rows) != nil || len(rows) == 0 {
		t.Fatalf("no %s in %q", section, reply)
	}
	return rows[len(rows)-1]
}

func (r *rig) rpc(command, section string) map[string]any {
	r.t.Helper()
	return row(r.t, r.ask(`{"command":"`+command+`"}`), section)
}

// power asks port 6060.
func (r *rig) power(path string) string {
	r.t.Helper()
	_, out, _ := simtest.Send(r.t, &http.Client{Transport: &http.Transport{}}, "GET", fmt.Sprintf("http://%s/%s", r.d.Doors[1], path), "")
	return string(out)
}

func (r *rig) workMode() string {
	r.t.Helper()
	var conf map[string]any
	r.get("get_miner_conf", &conf)
	return fmt.Sprint(conf["bitmain-work-mode"])
}

// draws checks the true watts after so long.
func (r *rig) draws(after time.Duration, want float64) {
	r.t.Helper()
	simtest.Draws(r.t, r.clock, r.d, after, want)
}

// asForm writes a mode the way the pages of the oldest generation do.
func asForm(mode string) string {
	return "_ant_pool1url=aaa%3A700&_ant_pool1user=aaa.1&_ant_pool1pw=x+%26y&_ant_pool2url=&_ant_pool2user=&_ant_pool2pw=&_ant_pool3url=&_ant_pool3user=&_ant_pool3pw=" +
		"&_ant_nobeeper=false&_ant_notempoverctrl=false&_ant_fan_customize_switch=false&_ant_fan_customize_value=&_ant_freq=O&_ant_voltage=1950&_ant_work_mode=" + mode
}

func contains(t *testing.T, got []byte, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(string(got), w) {
			t.Errorf("no %s in %s", w, got)
		}
	}
}
