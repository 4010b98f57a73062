package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("The fence", func() {
	It("keeps in what a leader writes whose Lease has run out, and lets reads pass", func(ctx context.Context) {
		s := newSite(ctx)
		l, ok := s.Leader.(*Leader)
		Expect(ok).To(BeTrue())
		fenced, err := client.New(Fenced(config, l), client.Options{Scheme: s.Scheme()})
		Expect(err).NotTo(HaveOccurred())
		secret := func(name string) *corev1.Secret {
			return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name}}
		}
		Expect(fenced.Create(ctx, secret("a"))).To(Succeed())
		s.now = s.now.Add(LeaseDuration + time.Second)
		Expect(fenced.Create(ctx, secret("b"))).To(MatchError(errNotFresh))
		Expect(fenced.Delete(ctx, secret("a"))).To(MatchError(errNotFresh))
		Expect(fenced.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "a"}, &corev1.Secret{})).To(Succeed())
		l.renewedAt.Store(s.now.UnixNano())
		Expect(fenced.Delete(ctx, secret("a"))).To(Succeed())
	})
})
