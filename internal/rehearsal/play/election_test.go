package play

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// lockServer is an API server that knows nothing but the election's Lease; while it is away it refuses.
type lockServer struct {
	t      *testing.T
	holder string
	away   bool
}

func (s *lockServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.away || !strings.HasSuffix(r.URL.Path, "/namespaces/"+systemNamespace+"/leases/"+lockName) {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	now := metav1.NewMicroTime(time.Now())
	lease := coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Name: lockName, Namespace: systemNamespace},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &s.holder, RenewTime: &now},
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(lease); err != nil {
		s.t.Error(err)
	}
}

func TestWhoIsMeantByLeader(t *testing.T) {
	lock := &lockServer{t: t}
	server := httptest.NewServer(lock)
	defer server.Close()
	e := newElection(kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL}), clock.RealClock{})
	meant := func(action, want string) {
		t.Helper()
		if got, err := e.meant(t.Context(), action); err != nil || got != want {
			t.Errorf("%s: want %s, got %q, %v", action, want, got, err)
		}
	}
	if _, err := e.meant(t.Context(), "kill"); err == nil || !strings.Contains(err.Error(), "no operator has led yet") {
		t.Errorf("got %v", err)
	}
	lock.holder = "operator-1_a"
	meant("pause", "operator-1")
	lock.holder = "operator-0_b" // it took over
	meant("kill", "operator-0")
	meant("resume", "operator-1")
	meant("start", "operator-0")
	lock.holder = "operator-1_c"
	meant("stop", "operator-1")
	meant("start", "operator-1")
	lock.away = true // whoever led last
	meant("kill", "operator-1")
}

func TestALeaderThatWasStoppedDoesNotLead(t *testing.T) {
	lock := &lockServer{t: t, holder: "operator-0_a"}
	server := httptest.NewServer(lock)
	defer server.Close()
	e := newElection(kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL}), clock.RealClock{})
	leads := func(want string) {
		t.Helper()
		if err := e.leads(t.Context()); (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	leads("")
	e.disturbed("operator-1", "kill") // a follower
	leads("")
	e.disturbed("operator-0", "pause") // its Lease is as fresh as before
	leads("operator-0 was stopped")
	e.disturbed("operator-0", "resume")
	leads("")
	e.disturbed("operator-0", "kill")
	leads("operator-0 was stopped")
	lock.holder = "operator-0_b" // the next process of the same name
	leads("")
	lock.holder = ""
	leads("no operator leads")
}
