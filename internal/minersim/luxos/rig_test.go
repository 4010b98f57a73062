package luxos_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/luxos"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

const fleet = `
seed: 2
groups:
- {name: a, count: 2, model: S19k Pro, firmware: LuxOS, firstAddress: BASE1, budget: x}
- {name: psu, count: 1, model: S21, firmware: LuxOS, firstAddress: BASE9, powerSource: PSU, initial: Sleeping}
`

// rig is one machine under test.
type rig struct {
	t     *testing.T
	site  *minersim.Site
	d     *minersim.Device
	clock *simtest.Clock
}

func start(t *testing.T) *rig {
	site, clock := simtest.Start(t, map[string]minersim.Front{"LuxOS": luxos.New()}, fleet)
	return &rig{t: t, site: site, d: site.Fleet.Devices[0], clock: clock}
}

// raw sends bytes on a connection of their own and reads to its end.
func (r *rig) raw(request string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", r.d.Address.String(), time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(request)); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

type status struct {
	STATUS, Msg, Description string
	Code                     int
	When                     int64
}

type reply struct {
	STATUS []status
	id     int
	fields map[string]json.RawMessage
}

// ask sends one command and takes the reply apart.
func (r *rig) ask(command, parameter string) reply {
	r.t.Helper()
	request := map[string]string{"command": command}
	if parameter != "" {
		request["parameter"] = parameter
	}
	b, _ := json.Marshal(request)
	out, err := r.raw(string(b))
	if err != nil || len(out) == 0 || out[len(out)-1] != 0 {
		r.t.Fatalf("%s: %q %v does not end in NUL", command, out, err)
	}
	var got reply
	if err := json.Unmarshal(bytes.TrimRight(out, "\x00"), &got.fields); err != nil {
		r.t.Fatalf("%s: %v in %q", command, err, out)
	}
	_ = json.Unmarshal(got.fields["STATUS"], &got.STATUS)
	_ = json.Unmarshal(got.fields["id"], &got.id)
	return got
}

// want asks and checks letter and code.
func (r *rig) want(letter string, code int, command, parameter string) reply {
	r.t.Helper()
	got := r.ask(command, parameter)
	if len(got.STATUS) != 1 || got.STATUS[0].STATUS != letter || got.STATUS[0].Code != code || got.id != 1 {
		r.t.Fatalf("%s %s: %+v, want %s %d", command, parameter, got.STATUS, letter, code)
	}
	return got
}

// section reads the first entry of a section.
func section[T any](r *rig, got reply, name string) (out T) {
	r.t.Helper()
	var list []T
	if err := json.Unmarshal(got.fields[name], &list); err != nil || len(list) == 0 {
		r.t.Fatalf("no %s in %v: %v", name, got.fields, err)
	}
	return list[0]
}

// in runs a write in a session of its own.
func (r *rig) in(letter string, code int, command, args string) reply {
	r.t.Helper()
	sid := section[struct{ SessionID string }](r, r.want("S", 316, "logon", ""), "SESSION").SessionID
	got := r.want(letter, code, command, sid+","+args)
	if command != "rebootdevice" {
		r.want("S", 317, "logoff", sid)
	}
	return got
}

type config struct {
	CurtailMode, Profile, ProfileStep, SystemStatus, Model, MACAddr, SerialNumber string
	IsAtmEnabled, IsPowerSupplyOn                                                 bool
	NameplateTHS                                                                  float64
}

func (r *rig) config() config {
	r.t.Helper()
	return section[config](r, r.want("S", 33, "config", ""), "CONFIG")
}

func (r *rig) watts() int {
	r.t.Helper()
	return section[struct{ Watts int }](r, r.want("S", 311, "power", ""), "POWER").Watts
}

type profile struct {
	Name      string `json:"Profile Name"`
	Step      string
	Frequency int
	Watts     int
	Hashrate  float64
}

func (r *rig) profiles() (out []profile) {
	r.t.Helper()
	got := r.want("S", 323, "profiles", "")
	if err := json.Unmarshal(got.fields["PROFILES"], &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func near(got int, want, percent float64) bool {
	return math.Abs(float64(got)-want) <= want*percent/100
}
