package controllers

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

var _ = Describe("A gated pod", func() {
	var (
		s *site
		r *ClaimReconciler
	)

	BeforeEach(func(ctx context.Context) {
		s = newSite(ctx)
		r = &ClaimReconciler{Client: s.Client, Events: s.events}
	})

	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: s.ns, Name: name} }
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ai"}}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "ai"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}},
	}
	jobTemplate := *template.DeepCopy()
	jobTemplate.Spec.RestartPolicy = corev1.RestartPolicyNever
	// own creates an object, as its controller would, under the one that was created before.
	own := func(ctx context.Context, by, o client.Object) client.Object {
		GinkgoHelper()
		if by != nil {
			Expect(controllerutil.SetControllerReference(by, o, s.Scheme())).To(Succeed())
		}
		Expect(s.Create(ctx, o)).To(Succeed())
		return o
	}
	claims := func(ctx context.Context, pod *corev1.Pod) []powerv1.GPUWorkload {
		GinkgoHelper()
		s.get(ctx, pod)
		_, err := r.Reconcile(ctx, pod)
		Expect(err).NotTo(HaveOccurred())
		var list powerv1.GPUWorkloadList
		Expect(s.List(ctx, &list, client.InNamespace(s.ns))).To(Succeed())
		return list.Items
	}

	DescribeTable("gets a GPUWorkload for who made it",
		func(ctx context.Context, owners func(context.Context) (root, direct client.Object), kind string, class powerv1.WorkloadClass) {
			var pods []*corev1.Pod
			root, direct := owners(ctx)
			for _, name := range []string{"pod-a", "pod-b"} {
				pods = append(pods, s.createPod(ctx, name, "8", func(p *corev1.Pod) {
					Expect(controllerutil.SetControllerReference(direct, p, s.Scheme())).To(Succeed())
				}))
			}
			claims(ctx, pods[0])
			got := claims(ctx, pods[1])
			Expect(got).To(HaveLen(1), "pods of one owner share a claim")
			w := got[0]
			Expect(*w.Spec.Owner).To(And(HaveField("Kind", kind), HaveField("Name", root.GetName()), HaveField("UID", root.GetUID())))
			Expect(w.Spec.Class).To(Equal(class))
			Expect(w.Finalizers).To(ContainElement(powerv1.LedgerFinalizer))
			Expect(w.OwnerReferences).To(HaveLen(1))
			Expect(w.OwnerReferences[0].UID).To(Equal(root.GetUID()))
			Expect(w.OwnerReferences[0].Controller).To(BeNil(), "the owner is somebody else's")
			Expect(w.OwnerReferences[0].BlockOwnerDeletion).To(BeNil())

			s.createBudget(ctx, "root", nil)
			s.createNode(ctx, "n1", "8", nil)
			s.createNode(ctx, "n2", "8", nil)
			s.run(ctx, 2)
			s.get(ctx, &w)
			Expect(w.Status.Reservations).To(HaveLen(2), "its pods are found by it")
		},
		Entry("a Deployment, through its ReplicaSet", func(ctx context.Context) (root, direct client.Object) {
			root = own(ctx, nil, &appsv1.Deployment{ObjectMeta: named("llama"), Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}})
			return root, own(ctx, root, &appsv1.ReplicaSet{ObjectMeta: named("llama-7d"), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}})
		}, "Deployment", powerv1.ClassInference),
		Entry("a StatefulSet", func(ctx context.Context) (root, direct client.Object) {
			root = own(ctx, nil, &appsv1.StatefulSet{ObjectMeta: named("train"), Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}})
			return root, root
		}, "StatefulSet", powerv1.ClassInference),
		Entry("a Job", func(ctx context.Context) (root, direct client.Object) {
			root = own(ctx, nil, &batchv1.Job{ObjectMeta: named("train"), Spec: batchv1.JobSpec{Template: jobTemplate}})
			return root, root
		}, "Job", powerv1.ClassTraining),
		Entry("a CronJob, through its Job", func(ctx context.Context) (root, direct client.Object) {
			root = own(ctx, nil, &batchv1.CronJob{ObjectMeta: named("nightly"), Spec: batchv1.CronJobSpec{
				Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: jobTemplate}},
			}})
			return root, own(ctx, root, &batchv1.Job{ObjectMeta: named("nightly-1"), Spec: batchv1.JobSpec{Template: jobTemplate}})
		}, "CronJob", powerv1.ClassTraining),
	)

	It("that nobody made stands for itself", func(ctx context.Context) {
		pod := s.createPod(ctx, "alone", "8", nil)
		got := claims(ctx, pod)
		Expect(got).To(HaveLen(1))
		Expect(*got[0].Spec.Owner).To(And(HaveField("Kind", "Pod"), HaveField("UID", pod.UID)))
		s.writes = nil
		Expect(claims(ctx, pod)).To(HaveLen(1))
		Expect(s.writes).To(BeEmpty())
	})

	It("gets nothing where a GPUWorkload selects it", func(ctx context.Context) {
		s.createWorkload(ctx, "mine", nil)
		pod := s.createPod(ctx, "pod", "8", nil)
		Expect(claims(ctx, pod)).To(HaveLen(1))
	})

	It("gets nothing where its label names a GPUWorkload, and hears that there is none", func(ctx context.Context) {
		pod := s.createPod(ctx, "pod", "8", func(p *corev1.Pod) { p.Labels[powerv1.WorkloadLabel] = "mine" })
		Expect(claims(ctx, pod)).To(BeEmpty())
		Expect(s.events.lines).To(HaveLen(1))
		s.createWorkload(ctx, "mine", func(w *powerv1.GPUWorkload) { w.Spec.Selector.MatchLabels = map[string]string{"app": "other"} })
		Expect(claims(ctx, pod)).To(HaveLen(1))
		Expect(s.events.lines).To(HaveLen(1))
	})

	It("is looked at again when a claim beside it is edited or goes, and not for every write of a status", func(ctx context.Context) {
		s.createPod(ctx, "open", "8", func(p *corev1.Pod) { p.Spec.SchedulingGates = nil })
		pod := s.createPod(ctx, "pod", "8", nil)
		w := s.createWorkload(ctx, "mine", nil)
		Expect(r.waiting(ctx, w)).To(ConsistOf(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)}))
		Expect(letsGo.Create(event.CreateEvent{Object: w})).To(BeFalse())
		before := w.DeepCopy()
		w.Status.Epoch = 7
		Expect(s.Status().Update(ctx, w)).To(Succeed())
		Expect(letsGo.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: w})).To(BeFalse())
		before = w.DeepCopy()
		w.Spec.Selector.MatchLabels = map[string]string{"app": "other"}
		Expect(s.Update(ctx, w)).To(Succeed())
		Expect(letsGo.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: w})).To(BeTrue())
		Expect(letsGo.Delete(event.DeleteEvent{Object: w})).To(BeTrue())
	})

	It("is the only kind that gets one", func(ctx context.Context) {
		pod := s.createPod(ctx, "open", "8", func(p *corev1.Pod) { p.Spec.SchedulingGates = nil })
		Expect(claims(ctx, pod)).To(BeEmpty())
	})
})
