// Package antminer speaks as Bitmain's own firmware for simulated miners: the pages under /cgi-bin
// behind digest authentication, port 4028 for reading, and port 6060 for watts where a machine offers
// them. A write is answered before the mining software restarts, and watts move later still. Shapes
// are those of recorded replies; what is assumed is listed in docs/simulator.md.
package antminer
