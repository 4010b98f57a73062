// Package minersim simulates Bitcoin miners as honestly as their wire facts allow: one physical
// model (watts, hashrate, ramps, boots) beneath one protocol front per firmware.
//
// The package decides what a machine truly draws at any instant and publishes it; it never
// decides what a site should do about it, and nothing of the operator or its drivers is
// imported. Physics is a pure step of time: a Machine is told the instant, holds no goroutine
// and reads no clock, so ten thousand of them cost nothing while nobody looks.
//
// Where a number comes from a source and where it is assumed is in docs/simulator.md.
package minersim
