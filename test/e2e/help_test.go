//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// poll tries until it works; the last failure is told.
func poll(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", ctx.Err(), last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// eventually waits for what somebody else does.
func eventually(t *testing.T, what string, limit time.Duration, try func(context.Context) error) {
	t.Helper()
	if err := poll(during, limit, try); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program on the cluster.
func run(program string, args ...string) (string, error) {
	cmd := exec.CommandContext(during, program, args...)
	cmd.Dir = root
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + work, "PATH=" + os.Getenv("PATH")}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

func helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(tool("helm"), args...)
	must(t, err)
	return out
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(binary("kubectl"), args...)
	must(t, err)
	return out
}

// apply applies manifests.
func apply(t *testing.T, format string, args ...any) {
	t.Helper()
	cmd := exec.CommandContext(during, binary("kubectl"), "apply", "--server-side", "-f", "-")
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + work}
	cmd.Stdin = strings.NewReader(fmt.Sprintf(format, args...))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("applying: %v: %s", err, out)
	}
}

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

var errNotYet = errors.New("not yet")
