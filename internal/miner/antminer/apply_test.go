package antminer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func isUnsupported(err error) bool { return errors.Is(err, miner.ErrUnsupported) }

func apply(t *testing.T, d *Driver, kind miner.Kind) error {
	t.Helper()
	return d.Apply(t.Context(), miner.Setting{Kind: kind})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Each generation takes a mode in another way and says yes to all of them; none may lose a setting.
func TestEveryGeneration(t *testing.T) {
	cases := map[string]struct {
		conf   map[string]any
		script func(*machine, map[string]any) string
		orders int // until the mode is taken
	}{
		"2020":              {confOf2020(), scriptOf2020, 1},
		"2025":              {confOf2025(), scriptOf2025, 1},
		"S21e, the other":   {confOf2025(), scriptOfS21e, 1},
		"the other, as 1":   {confOf2025(), scriptOfNumbers, 2},
		"one name for both": {map[string]any{"pools": []any{}, minerMode: 0, "bitmain-fan-ctrl": true}, oneName, 1},
	}
	for name, c := range cases {
		for _, prior := range []string{"0", "2"} {
			t.Run(name+" from "+prior, func(t *testing.T) {
				m := s21()
				key := workMode
				if _, ok := c.conf[minerMode]; ok {
					key = minerMode
				}
				m.conf, m.script = map[string]any{}, c.script
				maps.Copy(m.conf, c.conf)
				m.conf[key] = prior
				before := dump(t, m.conf, key)
				d := identified(t, m)
				must(t, apply(t, d, miner.Sleep))
				if fmt.Sprint(m.conf[key]) != "1" || len(m.orders()) != c.orders {
					t.Fatalf("mode %v", m.conf[key])
				}
				if diff := cmp.Diff(before, dump(t, m.conf, key)); diff != "" {
					t.Errorf("settings were lost (-want +got):\n%s", diff)
				}
				must(t, apply(t, d, miner.HashMode))
				if fmt.Sprint(m.conf[key]) != prior {
					t.Errorf("woken in mode %v, it ran %s", m.conf[key], prior)
				}
				if diff := cmp.Diff(before, dump(t, m.conf, key)); diff != "" {
					t.Errorf("settings were lost (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func oneName(m *machine, sent map[string]any) string {
	if number, ok := sent[minerMode].(float64); ok {
		m.conf[minerMode] = number
	}
	return success
}

// dump is a configuration but for its mode.
func dump(t *testing.T, conf map[string]any, but string) string {
	t.Helper()
	rest := map[string]any{}
	for k, v := range conf {
		if k != but && v != nil {
			rest[k] = v
		}
	}
	text, err := json.MarshalIndent(rest, "", " ")
	must(t, err)
	return string(text)
}

func TestWhatIsSent(t *testing.T) {
	m := s21()
	m.conf = confOf2020()
	d := identified(t, m)
	must(t, apply(t, d, miner.Sleep))
	want := `{"api-allow":"A:0/0,W:*","api-groups":"A:stats:pools:devs:summary:version","api-listen":true,"api-network":true,` +
		`"bitmain-ccdelay":"0","bitmain-fan-ctrl":false,"bitmain-fan-pwm":"100","bitmain-freq":"675","bitmain-freq-level":"90",` +
		`"bitmain-pwth":"0","bitmain-use-vil":true,"bitmain-voltage":"1400","bitmain-work-mode":"1","freq-level":"90","miner-mode":1,` +
		`"pools":[{"pass":"p00l<&>pass","url":"aaa:700","user":"aaa.226x94"},{"pass":"x","url":"bbb:6000","user":"bbb.226x94"},` +
		`{"pass":"","url":"","user":""}]}`
	if diff := cmp.Diff([]string{want}, m.orders()); diff != "" {
		t.Errorf("(-want +got):\n%s", strings.ReplaceAll(diff, "p00l", "****"))
	}
	if diff := cmp.Diff([]string{"text/plain;charset=UTF-8"}, m.types); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(m.open) != 1 {
		t.Errorf("%v went without a login", m.open)
	}
}

// The maker's script splits what it is sent at blanks, and would then write empty mining pools.
func TestBlanksAreNotSent(t *testing.T) {
	m := s21()
	m.conf["pools"] = []any{map[string]any{"url": "a:1", "user": "b", "pass": "two p00l words"}}
	d := identified(t, m)
	if d.Capabilities().Sleep {
		t.Error("offers to sleep")
	}
	if err := apply(t, d, miner.Sleep); !isUnsupported(err) || len(m.orders()) != 0 || strings.Contains(err.Error(), "p00l") {
		t.Errorf("error %v", err)
	}
}

// A machine that is as it should be is left alone: each order restarts its mining process.
func TestNothingToDo(t *testing.T) {
	m := s21()
	d := identified(t, m)
	must(t, apply(t, d, miner.HashMode))
	m.set(func() { m.conf[workMode] = "1"; m.pages["stats"] = statsOf("0", "1", "0") })
	d = identified(t, m)
	must(t, apply(t, d, miner.Sleep))
	if sent := m.orders(); len(sent) != 0 {
		t.Errorf("sent %q", sent)
	}
}

// One that was told, and does not follow, is told again.
func TestToldAgain(t *testing.T) {
	for name, c := range map[string]struct {
		set, stats string
		kind       miner.Kind
	}{
		"hashes on":            {"1", statsOf("240000", "0", "3500"), miner.Sleep},
		"hashes on, no word":   {"1", statsOf("240000", "", "3500"), miner.Sleep},
		"draws on":             {"1", statsOf("0", "1", "2500"), miner.Sleep},
		"sleeps on, was woken": {"0", statsOf("0", "1", "40"), miner.HashMode},
	} {
		t.Run(name, func(t *testing.T) {
			m := s21()
			m.conf[workMode], m.pages["stats"] = c.set, c.stats
			d := identified(t, m)
			if _, err := d.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			must(t, apply(t, d, c.kind))
			if sent := m.orders(); len(sent) != 1 || !strings.Contains(sent[0], `"miner-mode":`+c.set) {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// A driver that never saw the machine awake wakes it in the mode that its rated watts are for.
func TestWakeWithoutMemory(t *testing.T) {
	m := s21()
	m.conf[workMode], m.pages["stats"] = "1", statsOf("0", "1", "0")
	d := identified(t, m)
	must(t, apply(t, d, miner.HashMode))
	if m.mode() != "0" {
		t.Errorf("woken in mode %s", m.mode())
	}
}

func TestUnsupported(t *testing.T) {
	m := s21()
	d := identified(t, m)
	for _, s := range []miner.Setting{{Kind: miner.HashWatts, Watts: 3000}, {Kind: miner.HashMode, Mode: "Mode 3"}, {Kind: "Dance"}, {}} {
		if err := d.Apply(t.Context(), s); !isUnsupported(err) || len(m.taken()) != 0 {
			t.Errorf("%+v: %v", s, err)
		}
	}
	m.set(func() { delete(m.conf, workMode) })
	d = identified(t, m)
	if err := apply(t, d, miner.Sleep); !isUnsupported(err) || d.Capabilities().Sleep || len(m.orders()) != 0 {
		t.Errorf("a configuration without a mode: %v", err)
	}
}

func TestAnswers(t *testing.T) {
	takes := func(answer string) func(*machine, map[string]any) string {
		return func(m *machine, sent map[string]any) string { scriptOf2025(m, sent); return answer }
	}
	cases := map[string]struct {
		script func(*machine, map[string]any) string
		status int
		want   error // nil and !fails is success
		fails  bool
		orders int
	}{
		"yes":                      {takes(success), 0, nil, false, 1},
		"yes, under another name":  {takes(`{"stats":"","status":"success","code":"M000","msg":"OK!"}`), 0, nil, false, 1},
		"a word":                   {takes("ok"), 0, nil, false, 1},
		"nothing":                  {takes(""), 0, nil, false, 1},
		"another object":           {takes(`{"success": true}`), 0, nil, false, 1},
		"an error after the write": {takes(""), http.StatusBadGateway, nil, false, 1},
		"no":                       {says(`{"stats":"error","code":"M001","msg":"Illegal request!"}`), 0, miner.ErrRefused, true, 1},
		"no, as text":              {says(`{"stats":"success","code":"M000","msg":"FAIL!"}`), 0, miner.ErrRefused, true, 1},
		"busy":                     {says(`{"stats":"error","code":"M001","msg":"request busy"}`), 0, miner.ErrBusy, true, 1},
		"yes, and nothing done":    {says(success), 0, nil, true, 2},
		"a word, and nothing done": {says("ok"), 0, nil, true, 2},
		"an error, nothing done":   {says(""), http.StatusInternalServerError, nil, true, 1},
		"the page is gone":         {says(""), http.StatusNotFound, miner.ErrUnsupported, true, 1},
		"kept out":                 {says(""), http.StatusForbidden, miner.ErrUnauthorized, true, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := s21()
			m.script = c.script
			if c.status != 0 {
				m.statuses["set_miner_conf"] = c.status
			}
			d := identified(t, m)
			err := apply(t, d, miner.Sleep)
			if (err != nil) != c.fails || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
			if miner.NotApplied(err) != (c.want != nil) {
				t.Errorf("%v: applied for sure: %t", err, !miner.NotApplied(err))
			}
			if sent := m.orders(); len(sent) != c.orders {
				t.Errorf("%d orders", len(sent))
			}
			if err != nil && (strings.Contains(err.Error(), "p00l") || strings.Contains(err.Error(), secret)) {
				t.Errorf("error %v shows a secret", err)
			}
		})
	}
}

// A machine that said yes and is gone for a while, restarting, took the order.
func TestGoneAfterYes(t *testing.T) {
	m := s21()
	d := identified(t, m)
	m.script = func(m *machine, sent map[string]any) string {
		m.statuses["get_miner_conf"] = http.StatusServiceUnavailable
		return scriptOf2025(m, sent)
	}
	must(t, apply(t, d, miner.Sleep))
}

// The configuration shows the mode long before a slow machine answers, and the request goes on: a script that is
// stopped half-way leaves a torn configuration.
func TestSlowAnswer(t *testing.T) {
	m := s21()
	m.holds = make(chan struct{})
	d := identified(t, m)
	ticks := make(chan time.Time)
	d.after = func(wait time.Duration) <-chan time.Time {
		if wait != lookEvery {
			t.Errorf("waits %s", wait)
		}
		return ticks
	}
	done := make(chan error)
	go func() { done <- apply(t, d, miner.Sleep) }()
	for told := false; !told; {
		select {
		case ticks <- time.Time{}:
		case err := <-done:
			must(t, err)
			told = true
		}
	}
	if d.pending == nil {
		t.Fatal("nothing is pending")
	}
	// Meanwhile it can be read, and told nothing.
	if _, err := d.Read(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Apply(ctx, miner.Setting{Kind: miner.HashMode}); !errors.Is(err, miner.ErrBusy) || !miner.NotApplied(err) {
		t.Errorf("error %v is no ErrBusy", err)
	}
	close(m.holds)
	m.set(func() { m.holds = nil })
	must(t, apply(t, d, miner.HashMode))
	if m.mode() != "0" || d.pending != nil {
		t.Errorf("mode %s, pending %v", m.mode(), d.pending)
	}
}

// The caller's time ends before the machine has written anything: nothing is known, and nothing given up.
func TestNoAnswerInTime(t *testing.T) {
	m := s21()
	entered := make(chan struct{})
	held := make(chan struct{})
	m.script = func(m *machine, sent map[string]any) string {
		close(entered)
		m.mu.Unlock()
		<-held
		m.mu.Lock()
		return scriptOf2025(m, sent)
	}
	d := identified(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	err := d.Apply(ctx, miner.Setting{Kind: miner.Sleep})
	if !errors.Is(err, miner.ErrUnderWay) || !errors.Is(err, context.Canceled) || miner.NotApplied(err) {
		t.Errorf("error %v", err)
	}
	close(held)
	<-d.pending.done
	if m.mode() != "1" || d.pending.err != nil {
		t.Errorf("mode %s, %v: the request was given up", m.mode(), d.pending.err)
	}
}
