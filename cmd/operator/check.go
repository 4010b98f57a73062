package main

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/controllers"
	"github.com/counterweight-dev/counterweight/internal/gate"
)

const (
	// checksWithin is how long an installation may take until an operator leads.
	checksWithin = 2 * time.Minute
	checkEvery   = 2 * time.Second
)

// checking tells whether an installation works: the kinds are served, the policies are in force, and an operator
// leads. It reads, and writes nothing.
type checking struct {
	client.Reader
	namespace string
	clock     func() time.Time
	sleep     func(context.Context, time.Duration) error
	say       func(format string, args ...any)
}

func (c *checking) run(ctx context.Context) error {
	var err error
	for waited := time.Duration(0); waited < checksWithin; waited += checkEvery {
		if err = c.once(ctx); err == nil {
			return nil
		}
		c.say("not yet: %v", err)
		if err := c.sleep(ctx, checkEvery); err != nil {
			return err
		}
	}
	return err
}

func (c *checking) once(ctx context.Context) error {
	for _, list := range []client.ObjectList{
		&powerv1.PowerBudgetList{}, &powerv1.MinerPoolList{}, &powerv1.GPUWorkloadList{}, &powerv1.CurtailmentEventList{},
	} {
		if err := c.List(ctx, list, client.Limit(1)); err != nil {
			return fmt.Errorf("listing %T: %w", list, err)
		}
	}
	if err := c.policies(ctx); err != nil {
		return err
	}
	leader, err := c.leader(ctx)
	if err != nil {
		return err
	}
	c.say("the four kinds are served, the admission policies are in force, %s leads", leader)
	return nil
}

func (c *checking) policies(ctx context.Context) error {
	for _, name := range []string{gate.PolicyGate, gate.PolicyGatePresent, gate.PolicyGateKept, gate.PolicyEnrolment, gate.PolicyPriority} {
		both := []client.Object{&admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{}}
		if name == gate.PolicyGate {
			both = []client.Object{&admissionv1.MutatingAdmissionPolicy{}, &admissionv1.MutatingAdmissionPolicyBinding{}}
		}
		for _, o := range both {
			if err := c.Get(ctx, client.ObjectKey{Name: name}, o); err != nil {
				return fmt.Errorf("looking for policy %s and its binding: %w", name, err)
			}
		}
	}
	return nil
}

// leader names the operator that leads now.
func (c *checking) leader(ctx context.Context) (string, error) {
	var lease coordinationv1.Lease
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: controllers.LockName}, &lease); err != nil {
		return "", fmt.Errorf("looking for the operator that leads: %w; kubectl logs -n %s deployment/%s", err, c.namespace, operatorName)
	}
	holder := powerv1.Or(lease.Spec.HolderIdentity, "")
	if holder == "" || lease.Spec.RenewTime == nil || c.clock().Sub(lease.Spec.RenewTime.Time) > controllers.LeaseDuration {
		return "", fmt.Errorf("no operator leads: kubectl logs -n %s deployment/%s", c.namespace, operatorName)
	}
	return holder, nil
}
