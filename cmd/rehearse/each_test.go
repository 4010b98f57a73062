package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/play"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

func files(t *testing.T, names ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var out []string
	for _, name := range names {
		path := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(path, []byte("timeline: [{at: 1s, note: x}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out = append(out, path)
	}
	return out
}

func TestEachIsPlayedAndToldInALine(t *testing.T) {
	var mu sync.Mutex
	var played []string
	do := func(_ context.Context, opts play.Options, s *scenario.Scenario) (judge.Report, error) {
		mu.Lock()
		played = append(played, s.Name)
		mu.Unlock()
		fmt.Fprintln(opts.Out, "told of "+s.Name)
		r := judge.Report{Scenario: s.Name, OK: true, MiningBackPercent: 98.25, WattSecondsOver: map[string]float64{"a": 50, "b": 3}, WattSecondsExcused: map[string]float64{"a": 50, "b": 3}}
		switch s.Name {
		case "away":
			return r, errors.New("no binaries")
		case "bad":
			r.OK, r.Failures, r.WattSecondsExcused = false, []string{"a was over"}, nil
		}
		return r, nil
	}
	dir := t.TempDir()
	var out strings.Builder
	err := playEach(t.Context(), play.Options{ReportDir: dir}, &out, files(t, "good", "bad", "last"), 1, do)
	if !errors.Is(err, errJudged) || code(err) != 1 {
		t.Errorf("got %v", err)
	}
	if strings.Join(played, " ") != "good bad last" {
		t.Errorf("played %v", played)
	}
	for _, want := range []string{
		"good               ok      over 0 Ws (and 53 Ws after a fall with no notice)  mining back 98.2 %  0 s\n",
		"bad                FAILED  over 53 Ws  mining back 98.2 %  0 s\n", "FAILED: a was over\n", filepath.Join(dir, "bad", "told.txt"),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in:\n%s", want, out.String())
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "last", "told.txt")); err != nil || string(data) != "told of last\n" {
		t.Errorf("got %q, %v", data, err)
	}
	// What could not be played weighs more than what did not hold.
	if err := playEach(t.Context(), play.Options{ReportDir: dir}, &out, files(t, "bad", "away", "good"), 2, do); code(err) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestSomeArePlayedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		do := func(context.Context, play.Options, *scenario.Scenario) (judge.Report, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Minute)
			now.Add(-1)
			return judge.Report{OK: true}, nil
		}
		began := time.Now()
		if err := playEach(t.Context(), play.Options{ReportDir: t.TempDir()}, &strings.Builder{}, files(t, "a", "b", "c", "d", "e"), 2, do); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); most.Load() != 2 || took != 3*time.Minute {
			t.Errorf("%d at once, %s in all", most.Load(), took)
		}
	})
}

func TestAMistakeInAnyFileIsFoundFirst(t *testing.T) {
	paths := append(files(t, "good"), "missing.yaml")
	err := playEach(t.Context(), play.Options{ReportDir: t.TempDir()}, &strings.Builder{}, paths, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("got %v", err)
	}
}
