// Package axeos speaks the HTTP interface of ESP-Miner, whose pages are AxeOS, for simulated
// Bitaxe machines: one document with everything, settings that work in place, and a pause that no
// reboot survives. It knows the firmware with a pause (2.14) and the one before. What is assumed
// is listed in docs/simulator.md.
package axeos
