package meter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Meter takes samples.
type Meter struct {
	Config Config
	// Clock that samples are scheduled and limits are looked up by.
	Clock clock.Clock
	// Mining reads the true watts of machines, by budget.
	Mining func(ctx context.Context) (at time.Time, budgets map[string]float64, err error)
	Limits *Limits

	mu   sync.Mutex
	pods map[types.UID]*corev1.Pod
}

// Tolerances of a sample.
const (
	defaultInterval = 100 * time.Millisecond
	// patience with the source of truth. Looks overlap, so a slow one delays no other, and each stands for
	// the instant that the truth was of, however late that is.
	patience = 3 * time.Second
)

// SetPod notes a pod's newest state.
func (m *Meter) SetPod(pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pods == nil {
		m.pods = map[types.UID]*corev1.Pod{}
	}
	m.pods[pod.UID] = pod
}

// DropPod forgets a pod that is gone.
func (m *Meter) DropPod(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pods, uid)
}

func (m *Meter) ai() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]int64{}
	for _, pod := range m.pods {
		if Draws(pod) {
			budget, watts := m.Config.WattsOf(pod)
			out[budget] += watts
		}
	}
	delete(out, "")
	return out
}

// Run writes a sample every interval until ctx ends. Each is due at a fixed time after the first, however
// long the ones before it took.
func (m *Meter) Run(ctx context.Context, out io.Writer) error {
	interval := time.Duration(m.Config.IntervalMilliseconds) * time.Millisecond
	if interval == 0 {
		interval = defaultInterval
	}
	looks := make(chan chan Sample, 64)
	written := make(chan error, 1)
	go func() { written <- write(looks, out) }()
	began := m.Clock.Now()
	timer := m.Clock.NewTimer(0)
	defer timer.Stop()
	for seq := int64(0); ; seq++ {
		due := began.Add(time.Duration(seq) * interval)
		timer.Reset(due.Sub(m.Clock.Now()))
		select {
		case <-ctx.Done():
			close(looks)
			return <-written
		case err := <-written:
			return err
		case <-timer.C():
		}
		look := make(chan Sample, 1)
		go func() { look <- m.look(seq, due) }()
		looks <- look
	}
}

// write puts samples out in their order.
func write(looks <-chan chan Sample, out io.Writer) error {
	buffered := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffered)
	for look := range looks {
		if err := encoder.Encode(<-look); err != nil {
			return fmt.Errorf("writing a sample: %w", err)
		}
		if err := buffered.Flush(); err != nil {
			return fmt.Errorf("writing a sample: %w", err)
		}
	}
	return nil
}

func (m *Meter) look(seq int64, due time.Time) Sample {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	at, mining, err := m.Mining(ctx)
	if err != nil {
		return Sample{Seq: seq, At: due, Missing: err.Error()}
	}
	now := moment{at: at, mining: mining, ai: m.ai()}
	return Sample{Seq: seq, At: at, Budgets: m.Config.readings(now, m.Limits)}
}

// FromSim reads asic-sim's true watts.
func FromSim(url string) func(context.Context) (time.Time, map[string]float64, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	return func(ctx context.Context) (time.Time, map[string]float64, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/watts", nil)
		if err != nil {
			return time.Time{}, nil, err
		}
		response, err := client.Do(request)
		if err != nil {
			return time.Time{}, nil, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return time.Time{}, nil, errors.New(response.Status)
		}
		var body struct {
			At      time.Time          `json:"at"`
			Budgets map[string]float64 `json:"budgets"`
		}
		if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
			return time.Time{}, nil, fmt.Errorf("reading true watts: %w", err)
		}
		return body.At, body.Budgets, nil
	}
}

// NoMachines is the truth where there are none.
func NoMachines(c clock.Clock) func(context.Context) (time.Time, map[string]float64, error) {
	return func(context.Context) (time.Time, map[string]float64, error) { return c.Now(), nil, nil }
}
