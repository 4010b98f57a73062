// Package proto speaks the REST interface of Proto's Rig (MDK-API 1.8) for simulated machines:
// logins and pairing, a power target in watts, starting and stopping, and telemetry. Shapes are
// those of the vendor's specification; what is assumed is listed in docs/simulator.md.
package proto
