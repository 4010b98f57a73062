// Package minerctl is the tool for a person beside the machines: what a driver reads, which machines there are, and
// one setting for one machine. It decides nothing for anybody; it commands only what it was told to, and says that it
// happened only where that was read back.
package minerctl
