// Package sealminer speaks the interfaces of a SealMiner A2 for simulated miners: the RPC of
// bdminer at 4028, which lets anyone in, and pages at port 80 that want a session. Shapes are those
// recorded of firmware 2025091001 and of clients in the field; what is assumed is listed in
// docs/simulator.md.
package sealminer
