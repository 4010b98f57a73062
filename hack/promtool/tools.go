//go:build tools

// Package promtool pins promtool, which checks the alert rules and plays their tests.
package promtool

import _ "github.com/prometheus/prometheus/cmd/promtool"
