package braiins

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func TestApply(t *testing.T) {
	const idle = `{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":0}}},"power_stats":{"approximated_consumption":{"watt":38}}}`
	cases := map[string]struct {
		status  string // last read; empty is "never read"
		setting miner.Setting
		want    []string
	}{
		"sleep": {"2", miner.Setting{Kind: miner.Sleep}, []string{"PUT actions/pause"}},
		"trim while hashing": {
			"2", miner.Setting{Kind: miner.HashWatts, Watts: 2000},
			[]string{`PUT performance/power-target {"watt":2000}`},
		},
		"wake at watts: target first": {
			"3", miner.Setting{Kind: miner.HashWatts, Watts: 2000},
			[]string{`PUT performance/power-target {"watt":2000}`, "PUT actions/resume"},
		},
		"watts to a machine never read": {
			"", miner.Setting{Kind: miner.HashWatts, Watts: 2000},
			[]string{`PUT performance/power-target {"watt":2000}`, "PUT actions/resume"},
		},
		"watts to one that is stopped": {
			"1", miner.Setting{Kind: miner.HashWatts, Watts: 2000},
			[]string{`PUT performance/power-target {"watt":2000}`, "PUT actions/start"},
		},
		"wake as it was": {"3", miner.Setting{Kind: miner.HashMode}, []string{"PUT actions/resume"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			d := identified(t, m)
			if c.status != "" {
				m.Set("miner/details", strings.Replace(m.Replies["miner/details"], `"status":2`, `"status":`+c.status, 1))
				if c.status != "2" {
					m.Set("miner/stats", idle)
				}
				if _, err := d.Read(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			m.Taken()
			if err := d.Apply(t.Context(), c.setting); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, m.Taken()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// After a pause a new target wakes the machine, even if the last reading still saw it hashing.
func TestWattsAfterSleepWake(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	if _, err := d.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashWatts, Watts: 1500}} {
		if err := d.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	requests := m.Taken()
	want := []string{"PUT actions/pause", `PUT performance/power-target {"watt":1500}`, "PUT actions/resume"}
	if diff := cmp.Diff(want, requests[len(requests)-3:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if *got.TargetWatts != 1500 {
		t.Errorf("target %d W after it was commanded 1500 W", *got.TargetWatts)
	}
}

// Refused before anything is sent.
func TestApplyRefuses(t *testing.T) {
	cases := map[string]struct {
		constraints string
		setting     miner.Setting
		want        error
		says        string
	}{
		"below":        {setting: miner.Setting{Kind: miner.HashWatts, Watts: 944}, want: miner.ErrOutOfRange, says: "945 to 5500 W"},
		"above":        {setting: miner.Setting{Kind: miner.HashWatts, Watts: 5501}, want: miner.ErrOutOfRange, says: "945 to 5500 W"},
		"negative":     {setting: miner.Setting{Kind: miner.HashWatts, Watts: -1}, want: miner.ErrOutOfRange, says: "945 to 5500 W"},
		"a mode":       {setting: miner.Setting{Kind: miner.HashMode, Mode: "eco"}, want: miner.ErrUnsupported, says: "eco"},
		"unknown kind": {setting: miner.Setting{Kind: "Dance"}, want: miner.ErrUnsupported, says: "Dance"},
		"no range": {
			constraints: `{"tuner_constraints":{"power_target":{"min":null,"max":null,"default":null}}}`,
			setting:     miner.Setting{Kind: miner.HashWatts, Watts: 2000}, want: miner.ErrUnsupported, says: "no range",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			if c.constraints != "" {
				m.Set("configuration/constraints", c.constraints)
			}
			d := identified(t, m)
			err := d.Apply(t.Context(), c.setting)
			if !errors.Is(err, c.want) || !miner.NotApplied(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.says)
			}
			if requests := m.Taken(); len(requests) != 0 {
				t.Errorf("sent %v", requests)
			}
		})
	}
}

func TestApplyFailures(t *testing.T) {
	cases := map[string]struct {
		path       string
		status     int
		reply      string
		want       error
		notApplied bool
	}{
		"target refused":      {"performance/power-target", 422, "", miner.ErrRefused, true},
		"target: broken":      {"performance/power-target", 500, "", nil, false},
		"resume refused":      {"actions/resume", 400, "", miner.ErrHalfApplied, false},
		"resume unauthorised": {"actions/resume", 403, "", miner.ErrHalfApplied, false},
		"took more":           {"performance/power-target", 0, `{"watt":2100}`, miner.ErrHalfApplied, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s19xp()
			d := identified(t, m)
			if c.status != 0 {
				m.Fail(c.path, c.status)
			}
			if c.reply != "" {
				m.Set(c.path, c.reply)
			}
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 2000})
			if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if miner.NotApplied(err) != c.notApplied {
				t.Errorf("NotApplied(%v) is %v", err, !c.notApplied)
			}
		})
	}
}

// Accepting more than was asked for must not wake the machine.
func TestTookMoreIsNotWoken(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	m.Set("performance/power-target", `{"watt":2100}`)
	_ = d.Apply(t.Context(), miner.Setting{Kind: miner.HashWatts, Watts: 2000})
	want := []string{`PUT performance/power-target {"watt":2000}`}
	if diff := cmp.Diff(want, m.Taken()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A kept connection that the machine closes under a write costs one more request, not the order.
func TestWriteOnAClosedConnection(t *testing.T) {
	m := s19xp()
	d := identified(t, m)
	var cut atomic.Int32
	cut.Store(1)
	m.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || cut.Load() == 0 {
			return false
		}
		cut.Add(-1)
		hijack(w)
		return true
	}
	if err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"PUT actions/pause", "PUT actions/pause"}, m.Taken()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cut.Store(2)
	err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
	if err == nil || miner.NotApplied(err) {
		t.Errorf("two lost writes gave %v, which reads as surely not applied", err)
	}
	cut.Store(1)
	m.Fail("actions/pause", http.StatusBadRequest)
	err = d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
	if err == nil || miner.NotApplied(err) {
		t.Errorf("a lost write and a refused one gave %v, which reads as surely not applied", err)
	}
}

func hijack(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}
