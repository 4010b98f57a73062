// Package luxos speaks LuxOS' interface on TCP 4028 for simulated miners: one JSON request per
// connection, a reply that ends in NUL, and sessions that lock writes. Shapes are those recorded
// from firmware 2025.4.8 and the vendor's pages; what is assumed is listed in docs/simulator.md.
package luxos
