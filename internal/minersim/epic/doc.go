// Package epic speaks the HTTP interface of ePIC PowerPlay (UMC OS) for simulated miners: reads
// that are open, and commands with the password in their body. Shapes are those of the vendor's
// schemas and of a recorded S19 XP; what is assumed is listed in docs/simulator.md.
package epic
