// Package auradine speaks the interfaces of Auradine's FluxOS for simulated miners: REST at 8080,
// where reads and commands want a token, and the RPC of gcminer at 4028, which is open and only
// read. Shapes are those of recorded replies of several releases; what is assumed is listed in
// docs/simulator.md.
package auradine
