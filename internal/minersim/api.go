package minersim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxBody bounds what a request may send.
const maxBody = 64 << 10

// Handler is the simulator's own interface: the truth, and the ways to disturb it.
func (s *Site) Handler() http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{s.Fleet})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /truth", s.truth)
	mux.HandleFunc("GET /watts", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.Fleet.Sum()) })
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /persona", s.postPersona)
	mux.HandleFunc("POST /reboot", s.postReboot)
	return mux
}

func (s *Site) truth(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		At      time.Time `json:"at"`
		Watts   float64   `json:"watts"`
		Devices []Truth   `json:"devices"`
	}{At: s.Fleet.clock.Now(), Devices: make([]Truth, 0, len(s.Fleet.Devices))}
	for _, d := range s.Fleet.Devices {
		t := d.Truth()
		answer.Watts += t.Watts
		answer.Devices = append(answer.Devices, t)
	}
	answer.Watts = tenth(answer.Watts)
	reply(w, http.StatusOK, answer)
}

func (s *Site) healthz(w http.ResponseWriter, _ *http.Request) {
	if !s.Ready() {
		http.Error(w, "opening listeners", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Site) postPersona(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Selector
		Persona string `json:"persona"`
	}
	if !read(w, r, &request) {
		return
	}
	p, err := ParsePersona(request.Persona)
	if err != nil {
		refuse(w, err)
		return
	}
	changed, err := s.SetPersona(request.Selector, p)
	if err != nil && changed == nil {
		refuse(w, err)
		return
	}
	answer := map[string]any{"changed": changed, "count": len(changed)}
	status := http.StatusOK
	if err != nil {
		status, answer["error"] = http.StatusInternalServerError, err.Error()
	}
	reply(w, status, answer)
}

func (s *Site) postReboot(w http.ResponseWriter, r *http.Request) {
	var sel Selector
	if !read(w, r, &sel) {
		return
	}
	rebooted, err := s.Reboot(sel)
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"rebooted": rebooted, "count": len(rebooted)})
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		refuse(w, fmt.Errorf("the body is not the JSON expected: %w", err))
		return false
	}
	return true
}

// refuse answers a request that asks for what can't be: nothing was changed.
func refuse(w http.ResponseWriter, err error) {
	reply(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
