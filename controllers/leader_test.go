package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgofake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// TestACandidateIsKnownByItsName: who asks who leads finds the pod, and a restarted one is another.
func TestACandidateIsKnownByItsName(t *testing.T) {
	identities := map[string]bool{}
	for range 2 {
		l, err := NewLeader(&rest.Config{}, "ns", "operator-1", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(l.Identity(), "operator-1_") {
			t.Errorf("got %q", l.Identity())
		}
		identities[l.Identity()] = true
	}
	if len(identities) != 2 {
		t.Errorf("a restarted process is the same candidate: %v", identities)
	}
}

// TestWhoLedBeforeMayLeadYet is for L7: a Lease that ran out, or that its holder let go, leaves nobody; one that was
// deleted, or emptied by hand, leaves a leader that knows nothing of it until its renewal has run out.
func TestWhoLedBeforeMayLeadYet(t *testing.T) {
	for name, c := range map[string]struct {
		lease  *coordinationv1.LeaseSpec // before this process takes it; nil is none
		silent time.Duration             // how long it was seen so
		lost   bool                      // the first answer to this process's write
		wait   time.Duration
	}{
		"run out":                          {lease: heldBy("other", 30), silent: 30 * time.Second},
		"run out, and the answer was lost": {lease: heldBy("other", 30), silent: 30 * time.Second, lost: true},
		"let go":                           {lease: heldBy("", 1)},
		"emptied by hand":                  {lease: heldBy("", 30), wait: LeaseDuration},
		"deleted":                          {wait: LeaseDuration},
		"deleted, and the answer was lost": {lost: true, wait: LeaseDuration},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			store := clientgofake.NewClientset()
			if c.lease != nil {
				store = clientgofake.NewClientset(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: LockName}, Spec: *c.lease})
			}
			l := newLeader(store.CoordinationV1(), "ns", "this", func() time.Time { return now })
			if c.lost {
				loseOneAnswer(store)
			}
			stand(l)
			now = now.Add(c.silent)
			stand(l)
			taken := now
			for range 2 { // renewals change nothing
				now = now.Add(RetryPeriod)
				stand(l)
			}
			if got := max(0, l.Alone().Sub(taken)); got != c.wait {
				t.Errorf("waits %v, want %v", got, c.wait)
			}
		})
	}
}

// TestNobodyLetsGoOfWhatIsNotItsAlone is for L7: the next takes a Lease that was let go at once, and can't know of a leader
// before the one that let it go.
func TestNobodyLetsGoOfWhatIsNotItsAlone(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := newLeader(clientgofake.NewClientset().CoordinationV1(), "ns", "this", func() time.Time { return now })
	stand(l)
	free := resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1}
	now = now.Add(LeaseDuration - 1)
	if err := l.Update(context.Background(), free); !errors.Is(err, errNotAlone) {
		t.Errorf("got %v while another may lead", err)
	}
	now = now.Add(1)
	if err := l.Update(context.Background(), free); err != nil {
		t.Errorf("got %v", err)
	}
}

func heldBy(holder string, seconds int32) *coordinationv1.LeaseSpec {
	return &coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds}
}

// stand is one try of an elector that takes what has no valid holder.
func stand(l *Leader) {
	ctx := context.Background()
	mine := resourcelock.LeaderElectionRecord{HolderIdentity: l.Identity(), LeaseDurationSeconds: 30, RenewTime: metav1.NewTime(l.clock())}
	old, _, err := l.Get(ctx)
	switch {
	case err != nil:
		_ = l.Create(ctx, mine)
	case old.HolderIdentity == "" || old.HolderIdentity == l.Identity() || l.clock().Sub(l.lastSince) >= LeaseDuration:
		_ = l.Update(ctx, mine)
	}
}

// loseOneAnswer has the first write of a Lease take effect without an answer.
func loseOneAnswer(store *clientgofake.Clientset) {
	lost, tracker := false, store.Tracker()
	store.PrependReactor("*", "leases", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		write, ok := action.(clientgotesting.CreateAction) // an update is one too, by its methods
		if !ok || lost {
			return false, nil, nil
		}
		lost = true
		if action.GetVerb() == "create" {
			return true, nil, errors.Join(errors.New("no answer"), tracker.Create(action.GetResource(), write.GetObject(), "ns"))
		}
		return true, nil, errors.Join(errors.New("no answer"), tracker.Update(action.GetResource(), write.GetObject(), "ns"))
	})
}
