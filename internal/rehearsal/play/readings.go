package play

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
)

// readings are the meter's samples so far.
type readings struct {
	process *proc.Process
	log     string
	done    chan struct{}
	mu      sync.Mutex
	samples []meter.Sample
}

// startMeter starts the meter's process. What it says is kept, and written to a file as well.
func startMeter(self, dir, log string, cfg meter.Config) (*readings, error) {
	data, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("writing the meter's configuration: %w", err)
	}
	config := filepath.Join(dir, "meter.json")
	if err := os.WriteFile(config, data, 0o600); err != nil {
		return nil, fmt.Errorf("writing the meter's configuration: %w", err)
	}
	kept, err := os.Create(filepath.Join(dir, "samples.ndjson"))
	if err != nil {
		return nil, fmt.Errorf("keeping samples: %w", err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("reading the meter: %w", err)
	}
	process, err := proc.Start(proc.Spec{Name: "meter", Path: self, Args: []string{"meter", "--config", config}, LogPath: log, Stdout: in, Ahead: true})
	in.Close()
	if err != nil {
		return nil, err
	}
	r := &readings{process: process, log: log, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer kept.Close()
		defer out.Close()
		// A stream that breaks off is found by the judge: the last sample is old.
		_ = meter.Read(io.TeeReader(out, kept), r.take)
	}()
	return r, nil
}

func (r *readings) take(s meter.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, s)
}

// last sample with watts; false where there is none yet.
func (r *readings) last() (meter.Sample, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range slices.Backward(r.samples) {
		if s.Missing == "" {
			return s, true
		}
	}
	return meter.Sample{}, false
}

func (r *readings) all() []meter.Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.samples)
}

// stop ends the meter and waits for its last words.
func (r *readings) stop() {
	r.process.Stop(2 * time.Second)
	<-r.done
}
