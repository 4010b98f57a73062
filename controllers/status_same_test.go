package controllers

import (
	"reflect"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
)

// A status that differs in any field is written, whichever fields it may get.
func TestEveryFieldOfAStatusCounts(t *testing.T) {
	g := NewWithT(t)
	at := metav1.NewTime(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	made := func() *powerv1.GPUWorkloadStatus {
		return &powerv1.GPUWorkloadStatus{
			Conditions:     []metav1.Condition{{Type: powerv1.ConditionReady, Reason: "A", LastTransitionTime: at}},
			RequestedWatts: resource.NewQuantity(5000, resource.DecimalSI), ReservedWatts: resource.NewQuantity(5000, resource.DecimalSI),
			Pods:         &powerv1.GPUWorkloadPods{Gated: new(int32(1)), Admitted: new(int32(1)), Running: new(int32(1))},
			Reservations: []powerv1.Reservation{{UID: "u", Name: "p", Watts: *resource.NewQuantity(5000, resource.DecimalSI), Budget: "a", EndedAt: new(at), TerminationGracePeriodSeconds: 600}},
		}
	}
	g.Expect(sameStatus(made(), made())).To(BeTrue())

	read := made()
	read.Reservations[0].Watts, *read.RequestedWatts = resource.MustParse("5k"), resource.MustParse("5k")
	later := metav1.NewTime(at.In(time.FixedZone("elsewhere", 3600)))
	read.Reservations[0].EndedAt = &later
	g.Expect(sameStatus(read, made())).To(BeTrue(), "the same, written otherwise")

	status := reflect.TypeFor[powerv1.GPUWorkloadStatus]()
	for i := range status.NumField() {
		other := made()
		change(reflect.ValueOf(other).Elem().Field(i))
		g.Expect(sameStatus(made(), other)).To(BeFalse(), status.Field(i).Name)
		g.Expect(sameStatus(other, made())).To(BeFalse(), status.Field(i).Name)
	}
	reservation := reflect.TypeFor[powerv1.Reservation]()
	for i := range reservation.NumField() {
		other := made()
		change(reflect.ValueOf(&other.Reservations[0]).Elem().Field(i))
		g.Expect(sameStatus(made(), other)).To(BeFalse(), reservation.Field(i).Name)
	}
}

// change makes a value another.
func change(v reflect.Value) {
	switch is := v.Addr().Interface().(type) {
	case *resource.Quantity:
		is.Add(resource.MustParse("1"))
		return
	case *metav1.Time:
		is.Time = is.Add(time.Hour)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Pointer:
		change(v.Elem())
	case reflect.Slice:
		v.SetLen(0)
	case reflect.Struct:
		change(v.Field(0))
	default:
		panic("a field of a kind that this test can't change: " + v.Kind().String())
	}
}
