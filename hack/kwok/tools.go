//go:build tools

// Package kwok pins kwok, which plays nodes and pods in rehearsals.
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
