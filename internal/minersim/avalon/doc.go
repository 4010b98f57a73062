// Package avalon speaks the interface of Canaan's Avalon miners on TCP 4028: one command per
// connection, as text or as JSON, and everything that matters of a machine in one long string. It
// knows the rack machines of the A13 to A15 series and the ones for the home, which differ in
// commands, replies and in what a change of mode takes. Shapes are those of recorded replies and
// of the vendor's manual; what is assumed is listed in docs/simulator.md.
package avalon
