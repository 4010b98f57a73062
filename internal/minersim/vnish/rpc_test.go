package vnish_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"time"
)

// ask sends what clients send to the mining program.
func (r *rig) ask(command string) map[string]any {
	r.t.Helper()
	c, err := net.DialTimeout("tcp", r.d.Doors[0].String(), time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "{\"command\": %q}", command)
	out, err := io.ReadAll(c)
	var got map[string]any
	if err != nil || json.Unmarshal(bytes.TrimRight(out, "\x00"), &got) != nil {
		r.t.Fatalf("%s: %q %v", command, out, err)
	}
	return got
}

// row is one of a section of a reply.
func row(got map[string]any, section string, index int) map[string]any {
	rows, _ := got[section].([]any)
	if index >= len(rows) {
		return nil
	}
	one, _ := rows[index].(map[string]any)
	return one
}

// TestRPCTellsModelAndHashRate: that is where clients of others read them; its version command fails, as recorded.
func TestRPCTellsModelAndHashRate(t *testing.T) {
	r := start(t, older)
	for device, release := range map[int]string{older: "1.2.7", newer: "1.3.4"} {
		r.d = r.site.Fleet.Devices[device]
		r.login()
		if got := row(r.ask("version"), "STATUS", 0); got["STATUS"] != "E" || got["Msg"] != "Invalid command" {
			t.Errorf("version %v", got)
		}
		stats := r.ask("stats")
		if got, want := row(stats, "STATS", 0)["Type"], "Antminer S21 Pro (Vnish "+release+")"; got != want {
			t.Errorf("type %v, want %s", got, want)
		}
		giga, _ := row(r.ask("summary"), "SUMMARY", 0)["GHS 5s"].(float64)
		if want := r.d.Truth().TeraHashes * 1000; math.Abs(giga-want) > want/50 {
			t.Errorf("%g GH/s, want %g", giga, want)
		}
		if ideal, _ := row(stats, "STATS", 1)["total_rateideal"].(float64); math.Abs(ideal-giga) > giga/20 {
			t.Errorf("ideal %g GH/s", ideal)
		}
		r.post("mining/stop", "")
		r.after(time.Minute)
		if giga := row(r.ask("summary"), "SUMMARY", 0)["GHS 5s"]; giga != 0.0 {
			t.Errorf("stopped, %v GH/s", giga)
		}
	}
}

// TestResumeWakesWhatWasStopped: clients of others stop with one command and wake with the other.
func TestResumeWakesWhatWasStopped(t *testing.T) {
	r := start(t, older)
	full := r.d.Watts()
	if got := string(r.post("mining/stop", "")); got != "{}\n" {
		t.Errorf("stop answers %q", got)
	}
	r.after(time.Minute)
	r.post("mining/resume", "")
	if got := r.after(2 * time.Minute); got.watts < 40 || got.state != "starting" {
		t.Errorf("on its way up %+v", got)
	}
	if r.after(time.Minute); math.Abs(r.d.Watts()-full) > full/50 {
		t.Errorf("%g W, want %g", r.d.Watts(), full)
	}
}
