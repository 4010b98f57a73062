// Package link carries leases down and reports up: one gRPC stream per agent over mutual TLS, dialled by
// the operator and bound to the UID of the agent's pod. It makes and checks the certificates, checks the
// bounds of everything it receives, and keeps a stream up. It never decides what a message means:
// internal/lease does.
package link
