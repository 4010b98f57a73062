// Package vnish speaks the REST interface of VNish (AnthillOS) for simulated miners, as firmware
// 1.2.x and as 1.3.x: unlocking, presets, settings, mining commands and reads. Shapes are those
// of the vendor's schemas and of recorded replies; what is assumed is listed in
// docs/simulator.md.
package vnish
