package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	var played []string
	do := func(_ context.Context, opts play.Options, s *scenario.Scenario) (judge.Report, error) {
		played = append(played, s.Name)
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
	err := playEach(t.Context(), play.Options{ReportDir: dir}, &out, files(t, "good", "bad", "last"), do)
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
	if err := playEach(t.Context(), play.Options{ReportDir: dir}, &out, files(t, "bad", "away", "good"), do); code(err) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestAMistakeInAnyFileIsFoundFirst(t *testing.T) {
	paths := append(files(t, "good"), "missing.yaml")
	err := playEach(t.Context(), play.Options{ReportDir: t.TempDir()}, &strings.Builder{}, paths, nil)
	if err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("got %v", err)
	}
}
