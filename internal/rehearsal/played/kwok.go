package played

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

//go:embed stages.yaml
var stages []byte

// KwokArgs writes kwok's stages into a folder and returns its command line.
func KwokArgs(dir, kubeconfig string) ([]string, error) {
	path := filepath.Join(dir, "kwok.yaml")
	if err := os.WriteFile(path, stages, 0o600); err != nil {
		return nil, fmt.Errorf("writing kwok's stages: %w", err)
	}
	return []string{
		"--kubeconfig", kubeconfig, "--config", path,
		"--manage-nodes-with-label-selector", "type=kwok",
		"--node-lease-duration-seconds", strconv.Itoa(LeaseSeconds),
		"--cidr", "10.99.0.0/16",
	}, nil
}
