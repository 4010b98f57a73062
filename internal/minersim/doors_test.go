package minersim_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

// house is echo with a second port, at which it says something else.
type house struct{ echo }

func (house) Doors() []minersim.Door {
	return []minersim.Door{{Name: "back", Port: 17017, Serve: func(_ *minersim.Device, c net.Conn) {
		_, _ = c.Write([]byte("psst"))
		_ = c.Close()
	}}}
}

const houseFleet = `
seed: 5
groups:
- {name: own, count: 2, model: S21, firmware: House, firstAddress: BASE1}
- {name: given, count: 1, model: S21, firmware: House, firstAddress: BASE9, ports: {House: 17018, House.back: 17019}}
`

var houses = map[string]minersim.Front{"House": house{}}

// said is what answers there; empty where nothing does.
func said(t *testing.T, at netip.AddrPort) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", at.String(), time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = c.Close() }()
	b := make([]byte, 16)
	n, _ := c.Read(b)
	return string(b[:n])
}

func TestAMachineAnswersAtEachOfItsPorts(t *testing.T) {
	site, _ := simtest.Start(t, houses, houseFleet)
	if n := site.Fleet.Listeners(); n != 6 {
		t.Errorf("%d listeners", n)
	}
	for _, d := range site.Fleet.Devices {
		if len(d.Doors) != 1 || said(t, d.Address) != "hello" || said(t, d.Doors[0]) != "psst" {
			t.Errorf("%s and %s answer %q and %q", d.Address, d.Doors, said(t, d.Address), said(t, d.Doors[0]))
		}
	}
	if d := site.Fleet.Devices[2]; d.Address.Port() != 17018 || d.Doors[0].Port() != 17019 {
		t.Errorf("%s, %s", d.Address, d.Doors)
	}
	d := site.Fleet.Devices[0]
	if _, err := site.SetPersona(minersim.Selector{Address: d.Address.Addr().String()}, minersim.Dark); err != nil {
		t.Fatal(err)
	}
	if got := said(t, d.Doors[0]); got != "" {
		t.Errorf("a dark machine says %q", got)
	}
}

// TestADoorThatIsTakenIsNamed, and the machine's other ports do not stay open.
func TestADoorThatIsTakenIsNamed(t *testing.T) {
	site, _ := simtest.Start(t, houses, houseFleet)
	d := site.Fleet.Devices[0]
	only := minersim.Selector{Address: d.Address.Addr().String()}
	if _, err := site.SetPersona(only, minersim.Dark); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", d.Doors[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := site.SetPersona(only, minersim.Good); err == nil || !strings.Contains(err.Error(), "ports.House.back") {
		t.Errorf("%v", err)
	}
	if got := said(t, d.Address); got != "" {
		t.Errorf("still says %q", got)
	}
}

func TestAnUnknownDoorListsTheKnown(t *testing.T) {
	f, err := minersim.ParseFleet([]byte("groups: [{name: a, count: 1, model: S21, firmware: House, firstAddress: 127.0.0.1, ports: {House.front: 80}}]"))
	if err != nil {
		t.Fatal(err)
	}
	want := `groups[0].ports: unknown firmware "House.front"; known: House, House.back`
	if _, err := minersim.NewFleet(f, houses, simtest.NewClock()); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
