package stats

import (
	"os"
	"strconv"
	"strings"
)

// Times of all processors since boot, in ticks.
type Times struct{ all, steal float64 }

// Processors reads /proc/stat; zero where there is none.
func Processors() Times {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Times{}
	}
	return parseStat(string(data))
}

// parseStat reads the first line: user nice system idle iowait irq softirq steal.
func parseStat(text string) (t Times) {
	line, _, _ := strings.Cut(text, "\n")
	for i, field := range strings.Fields(line) {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // guest time is in user time already
			continue
		}
		t.all += v
		if i == 8 {
			t.steal = v
		}
	}
	return t
}

// StealSince is the share of processor time given to others since then, in percent.
func (t Times) StealSince(before Times) float64 {
	if t.all <= before.all {
		return 0
	}
	return (t.steal - before.steal) / (t.all - before.all) * 100
}

// ProcessorModel is what the processor calls itself.
func ProcessorModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
