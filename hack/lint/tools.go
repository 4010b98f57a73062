//go:build tools

// Package lint pins golangci-lint with the Kubernetes API linter built in. One command serves both
// .golangci.yml and .golangci-kal.yml; nothing here is imported by the product.
package lint

import (
	_ "github.com/golangci/golangci-lint/v2/pkg/commands"
	_ "sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter"
)
