package whatsminer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// eldest is a machine of 2019: it knows neither get_version nor status, and no question but as cgminer has them.
func eldest() *machine {
	m := m30s()
	m.cgminer = true
	m.msgs = map[string]string{
		"summary": `{"STATUS":[{"STATUS":"S","Code":11,"Description":"cgminer 4.9.2"}],"SUMMARY":[{"Elapsed":500,"MHS av":65492089.33,` +
			`"MHS 5s":65371302.78,"Temperature":75.00,"Fan Speed In":4590,"Uptime":600,"Chip Data":"K46K241-1918 BIN2-B","Power Fanspeed":8160,"Error Code Count":0}],"id":1}`,
		"devdetails": `{"STATUS":[{"STATUS":"S"}],"DEVDETAILS":[{"DEVDETAILS":0,"Name":"SM","Model":"M20SV10"}],"id":1}`,
	}
	return m
}

func TestEldestMachines(t *testing.T) {
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	read := miner.Reading{State: miner.Hashing, HashrateTHs: new(65.37130278), TemperatureC: new(75.), Uptime: new(600 * time.Second)}
	limited := read
	limited.Watts, limited.WattsSource = new(int64(3417)), miner.PSU
	limited.Effective, limited.Ceiling = new(int64(3500)), new(int64(3500))
	for name, c := range map[string]struct {
		change func(*machine)
		id     miner.Identity
		want   miner.Reading
	}{
		"as they come": {func(*machine) {}, miner.Identity{Firmware: miner.WhatsMiner, Model: "M20SV10"}, read},
		"a release in its status": {func(m *machine) {
			m.msgs["status"] = `{"STATUS":"S","Code":131,"Msg":{"Firmware Version":"'20200725.18.REL'","btmineroff":"false"},"Description":""}`
		}, miner.Identity{Firmware: miner.WhatsMiner, FirmwareVersion: "20200725.18.REL", Model: "M20SV10"}, read},
		"summary alone": {func(m *machine) { delete(m.msgs, "devdetails") }, miner.Identity{Firmware: miner.WhatsMiner}, read},
		"of 2021, which name more": {func(m *machine) {
			m.with("summary", `"Chip Data"`, `"MAC":"C4:08:28:00:A4:19","Firmware Version":"'20210322.22.REL'","Power":3417,"Power Limit":3500,"Chip Data"`)
		}, miner.Identity{Firmware: miner.WhatsMiner, FirmwareVersion: "20210322.22.REL", Model: "M20SV10", MAC: "c4:08:28:00:a4:19"}, limited},
	} {
		t.Run(name, func(t *testing.T) {
			m := eldest()
			c.change(m)
			d := m.serve(t)
			if err := probe(t.Context(), d); err != nil {
				t.Error(err)
			}
			d = m.serve(t)
			id, err := d.Identify(t.Context())
			if diff := cmp.Diff(c.id, id); err != nil || diff != "" {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			r, err := d.Read(t.Context())
			if diff := cmp.Diff(c.want, r, near); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if d.Capabilities().Sleep {
				t.Error("it takes no orders")
			}
		})
	}
}

// Without a status nobody says whether it was told to stop.
func TestNoStatus(t *testing.T) {
	m := m30s()
	delete(m.msgs, "status")
	d := identified(t, m)
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Hashing || r.Watts == nil {
		t.Errorf("%+v, %v", r, err)
	}
	m.with("summary", `"HS RT":96417231.65`, `"HS RT":0`)
	m.with("summary", `"Power":3496`, `"Power":20`)
	if r, err := d.Read(t.Context()); err != nil || r.State != miner.Unknown {
		t.Errorf("%+v, %v", r, err)
	}
}

// New firmware whose API v3 nobody answers is read by API v2, takes no orders, and is told again once it answers.
func TestNewFirmwareWithoutItsAPI(t *testing.T) {
	m := m60s()
	m.noFramed = true
	m.with("get_version", "20251209", "20241101")
	d := m.serve(t)
	if id, err := d.Identify(t.Context()); err != nil || id.Firmware != miner.WhatsMiner || !strings.EqualFold(id.MAC, deviceMAC) || id.Model != "M30S+VH30" {
		t.Fatalf("%+v, %v", id, err)
	}
	for range knockEvery - 1 {
		r, err := d.Read(t.Context())
		if err != nil || r.State != miner.Hashing || r.Watts == nil || *r.Watts != 3496 || len(r.Faults) != 1 || !strings.HasSuffix(r.Faults[0], ": open it") {
			t.Fatalf("%+v, %v", r, err)
		}
		if c := d.Capabilities(); c.Sleep || c.Continuous || c.NameplateWatts != 3600 {
			t.Fatalf("%+v", c)
		}
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); !errors.Is(err, miner.ErrUnsupported) || !miner.NotApplied(err) {
		t.Errorf("told %v", err)
	}
	d.framed.address = listen(t, true, m.answerFramed)
	if r, err := d.Read(t.Context()); err != nil || r.Watts == nil || *r.Watts != 3156 || !d.Capabilities().Sleep {
		t.Errorf("its API is there: %+v, %v, %+v", r, err, d.Capabilities())
	}
}
