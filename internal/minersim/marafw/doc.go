// Package marafw speaks as Marathon's firmware (MaraFW, also KaonSu) for simulated miners: the paths
// under /kaonsu/v1 behind digest authentication, and port 4028 for reading. Settings are one document,
// read and written whole. Paths and fields are those that open clients read; what is assumed is listed
// in docs/simulator.md.
package marafw
