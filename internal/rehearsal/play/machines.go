package play

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/judge"
	"github.com/counterweight-dev/counterweight/internal/rehearsal/scenario"
)

// machines are the simulated miners: the way to disturb them, and how many of them are healthy.
type machines struct {
	url    string
	client *http.Client

	mu      sync.Mutex
	groups  []scenario.FleetGroup
	sick    map[string]int // machines of a group that no controller can bring to hash as told
	history []judge.FleetAt
	// changed is the persona of each machine that got one since it was switched on, by address.
	changed map[string]string
}

func newMachines(url string, groups []scenario.FleetGroup, now time.Time) *machines {
	m := &machines{url: url, client: &http.Client{Timeout: 5 * time.Second}, groups: groups, sick: map[string]int{}, changed: map[string]string{}}
	for _, g := range groups {
		for persona, n := range g.Personas {
			if !healthy(persona) {
				m.sick[g.Name] += n
			}
		}
	}
	m.note(now)
	return m
}

// healthy machines do what they are told, if late.
func healthy(persona string) bool { return slices.Contains([]string{"good", "late"}, persona) }

// note what healthy machines can draw from now on: their nameplate.
func (m *machines) note(now time.Time) {
	watts := map[string]int64{}
	for _, g := range m.groups {
		if model, err := minersim.FindModel(g.Model); err == nil {
			watts[g.Budget] += int64(g.Count-m.sick[g.Name]) * int64(model.Watts)
		}
	}
	m.history = append(m.history, judge.FleetAt{At: now, Watts: watts})
}

func (m *machines) seen() []judge.FleetAt {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history)
}

// canDraw now, by budget.
func (m *machines) canDraw() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.history[len(m.history)-1].Watts
}

func (m *machines) persona(ctx context.Context, p scenario.Persona, now time.Time) error {
	var answer struct {
		Changed []minersim.Change `json:"changed"`
	}
	if err := m.post(ctx, "/persona", p, &answer); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range answer.Changed {
		m.changed[c.Address] = string(c.To)
		switch was, is := healthy(string(c.From)), healthy(string(c.To)); {
		case was && !is:
			m.sick[c.Group]++
		case !was && is:
			m.sick[c.Group]--
		}
	}
	m.note(now)
	return nil
}

// again gives machines that were switched off the personas they had. Those of the fleet file they take by
// themselves, the same ones each time.
func (m *machines) again(ctx context.Context) error {
	m.mu.Lock()
	changed := maps.Clone(m.changed)
	m.mu.Unlock()
	for _, address := range slices.Sorted(maps.Keys(changed)) {
		if err := m.post(ctx, "/persona", scenario.Persona{Address: address, Persona: changed[address]}, nil); err != nil {
			return err
		}
	}
	return nil
}

// truth is what each machine does now.
func (m *machines) truth(ctx context.Context) ([]judge.Machine, error) {
	var answer struct {
		Devices []minersim.Truth `json:"devices"`
	}
	if err := m.ask(ctx, http.MethodGet, "/truth", nil, &answer); err != nil {
		return nil, err
	}
	out := make([]judge.Machine, 0, len(answer.Devices))
	for _, d := range answer.Devices {
		model, err := minersim.FindModel(d.Model)
		if err != nil {
			return nil, fmt.Errorf("asking asic-sim: %w", err)
		}
		out = append(out, judge.Machine{
			Address: d.Address, Group: d.Group, Budget: d.Budget, Persona: string(d.Persona), Healthy: healthy(string(d.Persona)),
			Watts: d.Watts, TeraHashes: d.TeraHashes, CanWatts: model.Watts, CanTeraHashes: model.TeraHashes,
		})
	}
	return out, nil
}

func (m *machines) reboot(ctx context.Context, r scenario.Reboot) error {
	return m.post(ctx, "/reboot", r, nil)
}

func (m *machines) post(ctx context.Context, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing a request: %w", err)
	}
	return m.ask(ctx, http.MethodPost, path, data, into)
}

func (m *machines) ask(ctx context.Context, method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, m.url+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("writing a request: %w", err)
	}
	response, err := m.client.Do(request)
	if err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("asking asic-sim: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asic-sim says %s: %s", response.Status, bytes.TrimSpace(answer))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// ready says whether every listener is open.
func (m *machines) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := m.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asic-sim is not ready: %s", response.Status)
	}
	return nil
}
