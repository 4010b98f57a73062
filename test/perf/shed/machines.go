package shed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/cluster"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/proc"
	"github.com/counterweight-dev/counterweight/test/perf/await"
	"github.com/counterweight-dev/counterweight/test/perf/stats"
)

// machines are the simulated fleet.
type machines struct {
	process *proc.Process
	url     string
	o       Options
}

func startMachines(ctx context.Context, o Options, dir string) (*machines, error) {
	fleet := minersim.FleetFile{Seed: 1, Groups: []minersim.Group{
		{Name: "braiins", Count: o.Devices, Model: "S21", Firmware: "BraiinsOS", FirstAddress: braiinsFirst, Budget: "bench", Ports: map[string]int{"BraiinsOS": braiinsPort}},
		{Name: "luxos", Count: o.Devices, Model: "S21 XP", Firmware: "LuxOS", FirstAddress: luxosFirst, Budget: "bench"},
	}}
	data, err := json.Marshal(fleet)
	if err != nil {
		return nil, fmt.Errorf("writing the fleet file: %w", err)
	}
	path := filepath.Join(dir, "fleet.yaml") // JSON is YAML
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("writing the fleet file: %w", err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	m := &machines{url: "http://" + address, o: o}
	log := filepath.Join(dir, "sim.log")
	m.process, err = proc.Start(proc.Spec{
		Name: "asic-sim", Path: filepath.Join(o.Bin, "asic-sim"), Args: []string{"--fleet", path, "--http", address}, LogPath: log, Ahead: true,
	})
	if err != nil {
		return nil, err
	}
	err = await.Until(ctx, 30*time.Second, 100*time.Millisecond, func() error { return m.get(ctx, "/healthz", nil) })
	if err != nil {
		m.process.Stop(0)
		return nil, fmt.Errorf("%w; its log ends with: %s", err, proc.LastLines(log, 1))
	}
	return m, nil
}

func (m *machines) assignment() lease.Assignment {
	return lease.Assignment{
		Ranges:   []string{rangeOf(braiinsFirst, m.o.Devices), rangeOf(luxosFirst, m.o.Devices)},
		Firmware: "Auto", Ports: map[string]int{"BraiinsOS": braiinsPort}, UncertaintyPercent: 1,
	}
}

func (m *machines) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+path, nil)
	if err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asic-sim answers %s", response.Status)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	return nil
}

// hashing names the machines that no order to stop has reached: one that got it ramps from that instant on.
func (m *machines) hashing(ctx context.Context) (names []string, err error) {
	var truth struct {
		Devices []struct {
			State             minersim.State
			Firmware, Address string
		}
	}
	if err := m.get(ctx, "/truth", &truth); err != nil {
		return nil, err
	}
	for _, d := range truth.Devices {
		if d.State == minersim.Hashing {
			names = append(names, d.Firmware+" "+d.Address)
		}
	}
	return names, nil
}

// lookEvery is how often the truth is read while machines are shed.
const lookEvery = 10 * time.Millisecond

// shed orders everything down to the floor and watches the truth until the last machine got its order.
func (r *rig) shed(ctx context.Context, out *Result, looks *[]float64) error {
	before, err := r.fleet.hashing(ctx)
	if err != nil {
		return err
	}
	if len(before) != 2*r.o.Devices {
		return fmt.Errorf("%d of %d machines hash before the shed", len(before), 2*r.o.Devices)
	}
	r.ordered = r.newest().Floor
	began, clock := stats.Now(), stats.Start()
	if !r.lease(r.ordered, time.Second) {
		return errors.New("the agent may have no lease")
	}
	round := Round{}
	last := clock.Ms()
	err = await.Until(ctx, time.Minute, lookEvery, func() error {
		left, err := r.fleet.hashing(ctx)
		if err != nil {
			return err
		}
		*looks = append(*looks, clock.Ms()-last)
		last = clock.Ms()
		if len(left) > 0 {
			if round.SecondMs == 0 && last > second {
				round.SecondMs, round.Left = last, len(left)
			}
			round.Last = left[len(left)-1]
			return fmt.Errorf("%d machines have no order", len(left))
		}
		return nil
	})
	round.Ms, round.LateMs = last, stats.Ms(r.yard.Worst(began, stats.Now()))
	out.Rounds = append(out.Rounds, round)
	return err
}

// second is when what is left is counted, in ms.
const second = 1000

// under waits until the agent reports that its machines can draw no more than the lease: it has read the
// watts of each after its order had time to settle.
func (r *rig) under(ctx context.Context) error {
	return await.Until(ctx, time.Minute, lookEvery, func() error {
		if n := r.newest(); n.Bound > n.LeaseWatts || n.LeaseWatts > r.ordered {
			return fmt.Errorf("the agent reports a bound of %d W under a lease of %d W, %+v", n.Bound, n.LeaseWatts, n.Counts)
		}
		return nil
	})
}
