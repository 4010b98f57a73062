package marafw

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Each setting sends the whole configuration once, with nothing else in it changed.
func TestApply(t *testing.T) {
	const auto, asleep = `"Auto"`, `"Sleep"`
	asleepConf := changed(auto, asleep)
	for name, c := range map[string]struct {
		conf, log string
		setting   miner.Setting
		want      string
	}{
		"sleep":                   {configured, history, sleepy, asleepConf},
		"wake by history":         {asleepConf, history, awake, changed(auto, `"Fixed"`)},
		"wake without a history":  {asleepConf, `{}`, awake, changed(auto, `"Stock"`)},
		"wake, history of others": {asleepConf, strings.ReplaceAll(strings.ReplaceAll(history, "Stock", "x"), "Fixed", "y"), awake, changed(auto, `"Stock"`)},
		"target":                  {configured, history, watts(2000), changed("2400", "2000")},
		"target of one asleep":    {asleepConf, strings.ReplaceAll(history, "Fixed", "Auto"), watts(2000), changed("2400", "2000")},
	} {
		m := ks5()
		m.Replies[configPath], m.Replies["log"] = c.conf, c.log
		if c.conf == asleepConf {
			m.Replies["brief"] = ks5asleep
		}
		d := identified(t, m)
		if err := d.Apply(t.Context(), c.setting); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sent := m.orders()
		if len(sent) != 1 {
			t.Fatalf("%s: %d orders", name, len(sent))
		}
		if !strings.Contains(sent[0], "p00l <&> pass") {
			t.Errorf("%s: a pool's password is written otherwise", name)
		}
		if diff := cmp.Diff(canon(t, c.want), canon(t, sent[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, strings.ReplaceAll(diff, "p00l", "****"))
		}
	}
}

// One that was awake when it was met wakes in the mode it ran, whatever its history says.
func TestWakesAsItRan(t *testing.T) {
	m := ks5()
	d := identified(t, m)
	for _, s := range []miner.Setting{sleepy, awake} {
		if err := d.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		m.Set("brief", ks5asleep)
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(canon(t, configured), canon(t, m.Replies[configPath])); diff != "" {
		t.Errorf("(-want +got):\n%s", strings.ReplaceAll(diff, "p00l", "****"))
	}
}

// A machine that is as it should be is left alone; one that does not follow is told again.
func TestToldAgain(t *testing.T) {
	for name, c := range map[string]struct {
		selector, brief string
		setting         miner.Setting
		want            int
	}{
		"sleeps":           {`"Sleep"`, ks5asleep, sleepy, 0},
		"should, and does": {`"Auto"`, ks5mining, awake, 0},
		"has the target":   {`"Auto"`, ks5mining, watts(2400), 0},
		"hashes on":        {`"Sleep"`, ks5mining, sleepy, 1},
		"sleeps on":        {`"Auto"`, ks5asleep, awake, 1},
	} {
		m := ks5()
		m.Replies["brief"], m.Replies[configPath] = c.brief, changed(`"Auto"`, c.selector)
		d := identified(t, m)
		if err := d.Apply(t.Context(), c.setting); err != nil || len(m.orders()) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil   func(m *machine)
		setting miner.Setting
		want    error
	}{
		"a mode":          {func(*machine) {}, miner.Setting{Kind: miner.HashMode, Mode: "Fixed"}, miner.ErrUnsupported},
		"too low":         {func(*machine) {}, watts(1000), miner.ErrOutOfRange},
		"too high":        {func(*machine) {}, watts(2401), miner.ErrOutOfRange},
		"runs by itself":  {func(m *machine) { m.Set(configPath, changed(`"Auto"`, `"Stock"`)) }, watts(2000), miner.ErrUnsupported},
		"no mode":         {func(m *machine) { m.Set(configPath, `{"mode":{}}`) }, sleepy, miner.ErrUnsupported},
		"says no":         {func(m *machine) { m.keeps, m.reply = true, `{"error":true,"msg":"locked"}` }, sleepy, miner.ErrRefused},
		"HTTP says no":    {func(m *machine) { m.Fail("POST "+configPath, http.StatusBadRequest) }, sleepy, miner.ErrRefused},
		"keeps its mode":  {func(m *machine) { m.keeps = true }, sleepy, nil},
		"says nothing":    {func(m *machine) { m.keeps, m.reply = true, `{}` }, sleepy, nil},
		"an error":        {func(m *machine) { m.Fail("POST "+configPath, http.StatusBadGateway) }, sleepy, nil},
		"no confirmation": {func(m *machine) { m.keeps, m.reply = true, "" }, sleepy, nil},
	} {
		m := ks5()
		d := identified(t, m)
		c.spoil(m)
		err := d.Apply(t.Context(), c.setting)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || miner.NotApplied(err) != (c.want != nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, hidden := range []string{secret, "p00l"} {
			if strings.Contains(fmt.Sprint(err), hidden) {
				t.Errorf("%s: a secret shows", name)
			}
		}
	}
}

// What it did counts, not how it answered; and a yes, where it is gone at once.
func TestOddAnswers(t *testing.T) {
	m := ks5()
	d := identified(t, m)
	m.reply = "<html>"
	if err := d.Apply(t.Context(), sleepy); err != nil {
		t.Errorf("error %v", err)
	}
	m = ks5()
	d = identified(t, m)
	act := m.Act
	m.Act = func(key string, body []byte) (string, bool) {
		reply, ok := act(key, body)
		if ok {
			m.Statuses["GET "+configPath] = http.StatusBadGateway
		}
		return reply, ok
	}
	if err := d.Apply(t.Context(), sleepy); err != nil {
		t.Errorf("error %v", err)
	}
}
