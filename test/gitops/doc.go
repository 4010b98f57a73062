// Package gitops tests how Counterweight lives with tools that apply Git to a cluster and wait for what they applied.
package gitops
