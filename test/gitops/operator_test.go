package gitops

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

// auditPolicy has the API server write down every write, who made it and of what.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

// operatorAgent is how the operator's requests name their sender, and so the manager of what it writes.
const operatorAgent = "counterweight-operator"

var auditLog string

// operate runs the operator until the test is over.
func operate(t *testing.T) {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	namespace(t, "counterweight-system")
	cfg := rest.CopyConfig(config)
	cfg.UserAgent = operatorAgent
	leader, err := controllers.NewLeader(cfg, "counterweight-system", "operator-0", time.Now)
	must(t, err)
	ctx, stop := context.WithCancelCause(context.WithoutCancel(t.Context()))
	lease, renew, retry := controllers.LeaseDuration, controllers.RenewDeadline, controllers.RetryPeriod
	mgr, err := ctrl.NewManager(controllers.Fenced(cfg, leader), ctrl.Options{
		Scheme: scheme(), Cache: controllers.CacheOptions(), Client: controllers.ClientOptions(),
		Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: true, LeaderElectionResourceLockInterface: leader, LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry,
	})
	must(t, err)
	must(t, controllers.Setup(ctx, mgr, controllers.Options{
		Namespace: "counterweight-system", AgentImage: "agent:test", Table: gate.Builtin(), Leader: leader, Depose: stop,
	}))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		if cause := context.Cause(ctx); cause != nil {
			t.Errorf("the operator stopped by itself: %v", cause)
		}
		stop(nil)
		if err := <-ended; err != nil {
			t.Errorf("the operator: %v", err)
		}
	})
}

// operatorWrites are the operator's writes so far, as the API server's audit log has them, the election's Lease aside.
func operatorWrites(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(auditLog)
	must(t, err)
	var writes []string
	for line := range bytes.Lines(log) {
		var entry struct {
			Verb, UserAgent string
			ObjectRef       struct{ Resource, Subresource, Namespace, Name string }
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			break // the last line is still being written
		}
		if about := entry.ObjectRef; entry.UserAgent == operatorAgent && about.Resource != "leases" {
			writes = append(writes, strings.Join([]string{entry.Verb, about.Resource, about.Subresource, about.Namespace, about.Name}, " "))
		}
	}
	return writes
}

// eventually asks until there is no complaint.
func eventually(t *testing.T, within time.Duration, ask func() string) {
	t.Helper()
	complaint := ""
	for began := time.Now(); time.Since(began) < within; time.Sleep(200 * time.Millisecond) {
		if complaint = ask(); complaint == "" {
			return
		}
	}
	t.Fatal(complaint)
}
