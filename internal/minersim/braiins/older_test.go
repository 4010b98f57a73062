package braiins_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/braiins"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const olderFleet = `
seed: 2
groups:
- {name: a, count: 1, model: S21, firmware: BraiinsOS, firmwareVersion: "25.05", firstAddress: BASE1, ports: {BraiinsOS: 18080}}
`

// olderRig is one machine without the REST interface, and a client with its cookies.
type olderRig struct {
	rig
	http http.Client
}

func startOlder(t *testing.T) *olderRig {
	front := braiins.New()
	t.Cleanup(func() { _ = front.Close() })
	site, clock := simtest.Start(t, map[string]minersim.Front{"BraiinsOS": front}, olderFleet)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &olderRig{rig{t: t, site: site, d: site.Fleet.Devices[0], clock: clock}, http.Client{Jar: jar}}
}

// ask sends one command to the mining program.
func (r *olderRig) ask(command string) map[string]any {
	r.t.Helper()
	c, err := net.DialTimeout("tcp", r.d.Doors[0].String(), time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "{\"command\":%q}", command)
	out, err := io.ReadAll(c)
	var got map[string]any
	if err != nil || json.Unmarshal(bytes.TrimRight(out, "\x00"), &got) != nil {
		r.t.Fatalf("%s: %q %v", command, out, err)
	}
	return got
}

func first(got map[string]any, section string) map[string]any {
	list, _ := got[section].([]any)
	if len(list) == 0 {
		return nil
	}
	row, _ := list[0].(map[string]any)
	return row
}

// query posts to GraphQL and gives the data, or the errors.
func (r *olderRig) query(query, variables string) string {
	r.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": json.RawMessage(variables)})
	resp, err := r.http.Post(fmt.Sprintf("http://%s/graphql", r.d.Address), "application/json", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(out))
}

const loginMutation = `mutation ($username: String!, $password: String!) { auth { login(username: $username, password: $password) { ... on VoidResult { void } } } }`

// TestOlderMachinesPauseByTheirRPC as the vendor's page shows it, and say so in every way clients look at.
func TestOlderMachinesPauseByTheirRPC(t *testing.T) {
	r := startOlder(t)
	if v := first(r.ask("version"), "VERSION"); v["BOSer"] != "boser-buildroot 0.1.0-45f356ea" || v["API"] != "3.7" {
		t.Errorf("%v", v)
	}
	full := r.d.Watts()
	if w := first(r.ask("tunerstatus"), "TUNERSTATUS")["ApproximateMinerPowerConsumption"].(float64); w < 0.97*full || w > 1.03*full {
		t.Errorf("says %g W of %g W", w, full)
	}
	if mhs := first(r.ask("summary"), "SUMMARY")["MHS 5s"].(float64); mhs < 190e6 || mhs > 210e6 {
		t.Errorf("%g MH/s", mhs)
	}
	if d := first(r.ask("devdetails"), "DEVDETAILS"); d["Model"] != "Bitmain Antminer S21" {
		t.Errorf("%v", d)
	}
	if got := r.ask("pause"); fmt.Sprint(got["PAUSE"]) != "[true]" || first(got, "STATUS")["Code"] != 204.0 {
		t.Errorf("%v", got)
	}
	r.clock.Advance(7 * time.Second)
	if w := r.d.Watts(); w > 50 {
		t.Errorf("draws %g W", w)
	}
	tuner := first(r.ask("tunerstatus"), "TUNERSTATUS")
	chain := tuner["TunerChainStatus"].([]any)[0].(map[string]any)
	if tuner["ApproximateMinerPowerConsumption"] != 0.0 || chain["Status"] != "Paused" || first(r.ask("devdetails"), "STATUS")["Msg"] != "Unavailable" {
		t.Errorf("%v", tuner)
	}
	if got := r.ask("resume"); fmt.Sprint(got["RESUME"]) != "[true]" || first(got, "STATUS")["Code"] != 205.0 {
		t.Errorf("%v", got)
	}
	r.clock.Advance(20 * time.Second)
	if w := r.d.Watts(); w < 0.98*full || w > 1.02*full {
		t.Errorf("draws %g W of %g W", w, full)
	}
	if got := first(r.ask("nothing"), "STATUS"); got["STATUS"] != "E" || got["Code"] != 14.0 {
		t.Errorf("%v", got)
	}
}

// TestOlderMachinesByGraphQL: what anybody may ask, and what wants a session. There is no REST interface.
func TestOlderMachinesByGraphQL(t *testing.T) {
	r := startOlder(t)
	if code, _, err := r.send("GET", "version", ""); err != nil || code != 404 {
		t.Errorf("REST: %d %v", code, err)
	}
	if got := r.query("{ bosminer { info { modelName } } }", "null"); got != `{"data":{"bosminer":{"info":{"modelName":"Bitmain Antminer S21"}}}}` {
		t.Error(got)
	}
	got := r.query(`{ bos { info { version { full } } } bosminer { info { workSolver { childSolvers { name } } summary { power { limitW } } config { ... on BosminerConfig { groups { id } } } } } }`, "null")
	if !strings.Contains(got, `"full":"2025-06-25-0-45f356ea-25.05.1-plus"`) || !strings.Contains(got, `"childSolvers":[{"name":"1"},{"name":"2"},{"name":"3"}]`) || !strings.Contains(got, `"limitW":3500`) {
		t.Error(got)
	}
	const stop = "mutation { bosminer { stop { ... on VoidResult { void } } } }"
	if got := r.query(stop, "null"); !strings.Contains(got, "unauthorized") {
		t.Error(got)
	}
	if got := r.query(loginMutation, `{"username":"root","password":"x"}`); !strings.Contains(got, "errors") {
		t.Error(got)
	}
	for _, password := range []string{"", "root"} {
		if got := r.query(loginMutation, `{"username":"root","password":"`+password+`"}`); strings.Contains(got, "errors") {
			t.Errorf("%q: %s", password, got)
		}
	}
	limit := `mutation ($limit: Int!) { bosminer { config { updateAutotuning(input: { powerTarget: $limit }, apply: true) { ... on AutotuningOut { autotuning { powerTarget, enabled } } } } } }`
	if got := r.query(limit, `{"limit":2800}`); !strings.Contains(got, `"powerTarget":2800`) {
		t.Error(got)
	}
	r.clock.Advance(time.Minute)
	if w := r.d.Watts(); w < 2700 || w > 2900 {
		t.Errorf("draws %g W", w)
	}
	if got := r.query(limit, `{"limit":280}`); !strings.Contains(got, "out of range") {
		t.Error(got)
	}
	r.query(stop, "null")
	r.clock.Advance(time.Minute)
	if got := r.query("{ bosminer { info { workSolver { nominalMhs } } } }", "null"); !strings.Contains(got, `"workSolver":null`) || r.d.Watts() > 50 {
		t.Errorf("%s at %g W", got, r.d.Watts())
	}
	resp, err := r.http.Get(fmt.Sprintf("http://%s/cgi-bin/luci/admin/network/iface_status/lan", r.d.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if out, _ := io.ReadAll(resp.Body); !strings.Contains(string(out), r.d.MAC) {
		t.Errorf("%q", out)
	}
}

// TestNewerMachinesHaveTheRPCToo: clients of others tell them by it, read the hash rate there and pause them.
func TestNewerMachinesHaveTheRPCToo(t *testing.T) {
	r := &olderRig{rig: *start(t)}
	if got := first(r.ask("version"), "VERSION"); got["BOSer"] == nil {
		t.Errorf("version %v", got)
	}
	if got := first(r.ask("devdetails"), "DEVDETAILS"); got["Model"] != "Bitmain Antminer S21" {
		t.Errorf("devdetails %v", got)
	}
	if mega, _ := first(r.ask("summary"), "SUMMARY")["MHS 1m"].(float64); mega < 0.97*r.d.Truth().TeraHashes*1e6 {
		t.Errorf("%g MH/s", mega)
	}
	r.ask("pause")
	r.clock.Advance(time.Minute)
	if w := r.d.Watts(); w > 60 {
		t.Errorf("paused, it draws %g W", w)
	}
	r.ask("resume")
	r.clock.Advance(time.Minute)
	if w := r.d.Watts(); w < 3000 {
		t.Errorf("resumed, it draws %g W", w)
	}
}

func FuzzOlderGraphQL(f *testing.F) {
	for _, q := range []string{"{ a }", "{}", "{ d }", loginMutation, "mutation { bosminer { config { updateAutotuning(input:{powerTarget:5}){ x } } } }", "{ a(b: (c) { d }", "{{{{", "{ ...on }", "{ a { ...on B { c } } }"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := json.Marshal(braiins.Ask(query)); err != nil {
			t.Errorf("%q: %v", query, err)
		}
	})
}
