package minersim

import (
	"fmt"
	"slices"
	"strings"
)

// Persona is how a machine misbehaves.
type Persona string

const (
	// Good does what it says.
	Good Persona = "good"
	// Late replies to commands late and lets them take effect later still.
	Late Persona = "late"
	// Deaf says OK, shows the new setting when read, and changes nothing.
	Deaf Persona = "deaf"
	// Dark refuses every connection and goes on drawing what it drew.
	Dark Persona = "dark"
	// RebootsHot reboots from time to time and comes back hashing at its default, whatever it
	// was told.
	RebootsHot Persona = "reboots-hot"
)

var personas = []Persona{Good, Late, Deaf, Dark, RebootsHot}

// ParsePersona checks a name.
func ParsePersona(name string) (Persona, error) {
	if slices.Contains(personas, Persona(name)) {
		return Persona(name), nil
	}
	known := make([]string, len(personas))
	for i, p := range personas {
		known[i] = string(p)
	}
	return "", fmt.Errorf("unknown persona %q; known: %s", name, strings.Join(known, ", "))
}
