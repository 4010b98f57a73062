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
	// Liar reports other watts than it draws.
	Liar Persona = "liar"
	// Busy refuses commands while somebody else holds its session, as happens again and again.
	Busy Persona = "busy"
	// Weak drops connections: some at once, some in the middle of a reply.
	Weak Persona = "weak"
	// Drifts lowers its own target by and by, as firmware does that is too hot.
	Drifts Persona = "drifts"
	// Fragile fails for good when mining has restarted three times.
	Fragile Persona = "fragile"
)

// Personas are all of them, in the order in which a group's machines take them.
var Personas = []Persona{Good, Late, Deaf, Dark, RebootsHot, Liar, Busy, Weak, Drifts, Fragile}

// ParsePersona checks a name.
func ParsePersona(name string) (Persona, error) {
	if slices.Contains(Personas, Persona(name)) {
		return Persona(name), nil
	}
	known := make([]string, len(Personas))
	for i, p := range Personas {
		known[i] = string(p)
	}
	return "", fmt.Errorf("unknown persona %q; known: %s", name, strings.Join(known, ", "))
}
