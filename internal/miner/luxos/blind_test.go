package luxos

import (
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// What answers to a part of the commands is read as far as that goes, and told nothing: only its config says whether
// it sleeps.
func TestMachineWithoutConfig(t *testing.T) {
	invalid := `{"STATUS":"E","Msg":"Invalid command","Description":"LUXminer 2022.9.27","Code":14}`
	for name, deny := range map[string]func(*machine, string){
		"says no":  func(m *machine, command string) { m.refuse[command] = invalid },
		"hangs up": func(m *machine, command string) { m.silent[command] = true },
	} {
		t.Run(name, func(t *testing.T) {
			m := s19kpro()
			for _, command := range []string{"config", "profiles", "atm", "temps", "power", "summary+power+config"} {
				deny(m, command)
			}
			d := New(m.serve(t))
			id, err := d.Identify(t.Context())
			if err != nil || id.Model != "Antminer S19k Pro" || id.FirmwareVersion != "2025.4.8.220305-0a1b2c3d" {
				t.Fatalf("%+v, %v", id, err)
			}
			r, err := d.Read(t.Context())
			if err != nil || r.State != miner.Hashing || r.HashrateTHs == nil || *r.HashrateTHs != 57.8031 || r.Watts != nil {
				t.Errorf("%+v, %v", r, err)
			}
			if c := d.Capabilities(); c.Sleep || len(c.Modes) != 0 {
				t.Errorf("%+v", c)
			}
			m.mu.Lock()
			clear(m.refuse)
			clear(m.silent)
			m.mu.Unlock()
			if r, err = d.Read(t.Context()); err != nil || !d.Capabilities().Sleep || r.Watts == nil {
				t.Errorf("%+v, %v: it answers by now", r, err)
			}
		})
	}
}
