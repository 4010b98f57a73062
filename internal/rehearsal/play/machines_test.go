package play

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

func TestHealthyMachinesAreCounted(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		_ = r.Write(body)
		asked = append(asked, r.URL.Path)
		switch {
		case strings.Contains(body.String(), `"persona":"dark"`):
			_, _ = w.Write([]byte(`{"changed":[{"group":"a","from":"good","to":"dark"},{"group":"a","from":"deaf","to":"dark"},{"address":"127.1.0.3","group":"a","from":"late","to":"dark"}]}`))
		case strings.Contains(body.String(), `"persona":"good"`):
			_, _ = w.Write([]byte(`{"changed":[{"address":"127.1.0.4","group":"a","from":"dark","to":"good"}]}`))
		default:
			http.Error(w, "no such group", http.StatusBadRequest)
		}
	}))
	defer server.Close()
	groups := []scenario.FleetGroup{
		{Name: "a", Count: 10, Model: "S21", Budget: "hall", Personas: map[string]int{"deaf": 2, "late": 1}},
		{Name: "b", Count: 1, Model: "S21 XP", Budget: "row"},
	}
	m := newMachines(server.URL, groups, at(0))
	if err := m.persona(t.Context(), scenario.Persona{Group: "a", Count: 3, Persona: "dark"}, at(5)); err != nil {
		t.Fatal(err)
	}
	if err := m.persona(t.Context(), scenario.Persona{Group: "a", Count: 1, Persona: "good"}, at(9)); err != nil {
		t.Fatal(err)
	}
	if err := m.reboot(t.Context(), scenario.Reboot{Group: "z"}); err == nil || !strings.Contains(err.Error(), "no such group") {
		t.Errorf("got %v", err)
	}
	want := []judge.FleetAt{
		{At: at(0), Watts: map[string]int64{"hall": 8 * 3500, "row": 3645}},
		{At: at(5), Watts: map[string]int64{"hall": 6 * 3500, "row": 3645}},
		{At: at(9), Watts: map[string]int64{"hall": 7 * 3500, "row": 3645}},
	}
	if diff := cmp.Diff(want, m.seen()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/persona", "/persona", "/reboot"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestPoolsFollowMovedPorts(t *testing.T) {
	objects, err := scenario.Parse(`
{apiVersion: a/v1, kind: MinerPool, metadata: {name: a}, spec: {devices: {addresses: [x]}}}
---
{apiVersion: a/v1, kind: MinerPool, metadata: {name: b}, spec: {devices: {ports: [{firmware: BraiinsOS, port: 81}]}}}
---
{apiVersion: v1, kind: Secret, metadata: {name: c}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := movePorts(objects, map[string]int{"BraiinsOS": 8080}); err != nil {
		t.Fatal(err)
	}
	devices := func(i int) any { return objects[i].Object["spec"].(map[string]any)["devices"] }
	want := map[string]any{"addresses": []any{"x"}, "ports": []any{map[string]any{"firmware": "BraiinsOS", "port": int64(8080)}}}
	if diff := cmp.Diff(want, devices(0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"ports": []any{map[string]any{"firmware": "BraiinsOS", "port": int64(81)}}}, devices(1)); diff != "" {
		t.Errorf("a port of the site's own was changed: %s", diff)
	}
	if _, has := objects[2].Object["spec"]; has {
		t.Error("a Secret was changed")
	}
}

func TestATakenAddressIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.91.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	groups := []scenario.FleetGroup{
		{Name: "free", Count: 1, Firmware: "LuxOS", FirstAddress: "127.91.0.2", Ports: map[string]int{"LuxOS": port}},
		{Name: "taken", Count: 1, Firmware: "LuxOS", FirstAddress: "127.91.0.1", Ports: map[string]int{"LuxOS": port}},
	}
	_, err = choosePorts(t.Context(), groups)
	if err == nil || !strings.HasPrefix(err.Error(), "fleet.groups[1].firstAddress: 127.91.0.1 port ") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
	if moved, err := choosePorts(t.Context(), groups[:1]); err != nil || len(moved) != 0 {
		t.Errorf("a free port was moved: %v, %v", moved, err)
	}
	if firstFree(netip.MustParseAddr("127.91.0.3")) == 0 {
		t.Error("there is no port to move to")
	}
}

// TestMachinesKeepWhatIsWrongWithThem through a loss of power: the newest persona of each counts.
func TestMachinesKeepWhatIsWrongWithThem(t *testing.T) {
	var told []string
	answers := []string{
		`{"changed":[{"address":"127.1.0.3","group":"a","from":"good","to":"dark"},{"address":"127.1.0.4","group":"a","from":"good","to":"dark"}]}`,
		`{"changed":[{"address":"127.1.0.4","group":"a","from":"dark","to":"good"}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(answers) > 0 {
			_, _ = w.Write([]byte(answers[0]))
			answers = answers[1:]
			return
		}
		var p scenario.Persona
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		told = append(told, p.Address+" "+p.Persona)
		_, _ = w.Write([]byte(`{"changed":[]}`))
	}))
	defer server.Close()
	m := newMachines(server.URL, []scenario.FleetGroup{{Name: "a", Count: 10, Model: "S21", Budget: "hall"}}, at(0))
	for _, p := range []scenario.Persona{{Group: "a", Count: 2, Persona: "dark"}, {Group: "a", Count: 1, Persona: "good"}} {
		if err := m.persona(t.Context(), p, at(1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.again(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"127.1.0.3 dark", "127.1.0.4 good"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestTruthTellsWhoIsHealthyAndWhatItCould(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/truth" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(`{"devices":[
			{"address":"127.1.0.1","group":"a","budget":"hall","model":"Antminer S21","persona":"late","watts":3400,"terahashes":199},
			{"address":"127.1.0.2","group":"a","budget":"hall","model":"Antminer S21","persona":"liar","watts":3500,"terahashes":200}]}`))
	}))
	defer server.Close()
	got, err := newMachines(server.URL, nil, at(0)).truth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []judge.Machine{
		{Address: "127.1.0.1", Group: "a", Budget: "hall", Persona: "late", Healthy: true, Watts: 3400, TeraHashes: 199, CanWatts: 3500, CanTeraHashes: 200},
		{Address: "127.1.0.2", Group: "a", Budget: "hall", Persona: "liar", Watts: 3500, TeraHashes: 200, CanWatts: 3500, CanTeraHashes: 200},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPagesThatNeedAPrivilegeMove(t *testing.T) {
	denied := func(netip.Addr, int) error { return fmt.Errorf("listening: %w", syscall.EACCES) }
	allowed := func(netip.Addr, int) error { return nil }
	for name, c := range map[string]struct {
		firmware string
		own      map[string]int
		open     func(netip.Addr, int) error
		ports    map[string]int
		moved    map[string]int
	}{
		"ePIC":                    {"ePIC", nil, denied, map[string]int{"ePIC.web": 18081}, map[string]int{}},
		"SealMiner":               {"SealMiner", nil, denied, map[string]int{"SealMiner": 8028, "SealMiner.web": 4080}, map[string]int{"SealMiner": 8028}},
		"with the privilege":      {"SealMiner", nil, allowed, nil, map[string]int{}},
		"where the file says it":  {"SealMiner", map[string]int{"SealMiner.web": 9000}, denied, map[string]int{"SealMiner.web": 9000}, map[string]int{}},
		"of others nothing moves": {"LuxOS", nil, denied, nil, map[string]int{}},
	} {
		g := scenario.FleetGroup{Count: 1, FirstAddress: "127.91.0.9", Firmware: c.firmware, Ports: c.own}
		moved := map[string]int{}
		moveBehind(&g, moved, c.open)
		if diff := cmp.Diff(c.ports, g.Ports) + cmp.Diff(c.moved, moved); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
