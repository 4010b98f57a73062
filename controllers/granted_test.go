package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// barred is a client without rights to Secrets and ConfigMaps, as the operator's outside of mining namespaces.
func (s *site) barred() client.WithWatch {
	return interceptor.NewClient(s.Live.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			switch o.(type) {
			case *corev1.Secret:
				return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, key.Name, nil)
			case *corev1.ConfigMap:
				return apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, key.Name, nil)
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
}

var _ = Describe("A namespace that is not listed for mining", func() {
	It("stalls the pools in it, with what to do", func(ctx context.Context) {
		s := newSite(ctx)
		s.createBudget(ctx, "root", nil)
		p := s.createPool(ctx, "pool", "root", "10k", func(p *powerv1.MinerPool) { p.Spec.Devices.CredentialsSecret = "asics" })
		s.pools.Direct = s.barred()
		for range 3 {
			s.get(ctx, p)
			_, err := s.pools.Reconcile(ctx, p)
			Expect(err).NotTo(HaveOccurred())
			s.now = s.now.Add(2 * time.Second)
		}
		s.get(ctx, p)
		stalled := conditionOf(p.Status.Conditions, powerv1.ConditionStalled)
		Expect(stalled.Reason).To(Equal(powerv1.ReasonNamespaceNotGranted))
		Expect(stalled.Message).To(And(ContainSubstring("namespace "+s.ns), ContainSubstring("mining")))
		Expect(s.Get(ctx, client.ObjectKeyFromObject(p), &appsv1.StatefulSet{})).NotTo(Succeed())

		Expect(s.Delete(ctx, p)).To(Succeed())
		s.get(ctx, p)
		_, err := s.pools.Reconcile(ctx, p)
		Expect(err).NotTo(HaveOccurred())
		Expect(apierrors.IsNotFound(s.Get(ctx, client.ObjectKeyFromObject(p), p))).To(BeTrue(), "it can be deleted all the same")
	})

	It("keeps no new leader from leading", func(ctx context.Context) {
		s := newSite(ctx)
		s.createBudget(ctx, "root", nil)
		s.createPool(ctx, "pool", "root", "10k", nil)
		s.Live = s.barred()
		s.run(ctx, 1)
		Expect(s.links).NotTo(BeNil())
	})
})
