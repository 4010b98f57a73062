package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
)

// fatal ends a poll.
type fatal struct{ error }

// poll tries until it works, up to ten times a second; the last failure is told.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if end, ok := errors.AsType[fatal](err); ok {
			return end.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// minimum is the first Kubernetes whose MutatingAdmissionPolicy is generally available.
var minimum = version.MustParseGeneric("1.36.0")

func checkVersion(client kubernetes.Interface) error {
	info, err := discovery.ServerVersionInterface(client.Discovery()).ServerVersion()
	if err != nil {
		return fmt.Errorf("asking the API server for its version: %w", err)
	}
	return versionProblem(info.GitVersion)
}

func versionProblem(text string) error {
	got, err := version.ParseGeneric(text)
	if err != nil {
		return fmt.Errorf("the API server's version %q can't be read: %w", text, err)
	}
	if got.LessThan(minimum) {
		return fmt.Errorf("the API server is %s: Counterweight needs Kubernetes 1.36 or newer", text)
	}
	return nil
}
