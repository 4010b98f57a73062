package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWhatHeartbeatsProve: pods are deleted at 0 s on a node that was there until then.
// Rule: L6.
func TestWhatHeartbeatsProve(t *testing.T) {
	const kubelet, seldom = 40, 200 // seconds that a Lease lasts
	type one struct{ at, lasts int }
	every := func(step, from, to, lasts int) (row []one) {
		for at := from; at <= to; at += step {
			row = append(row, one{at, lasts})
		}
		return row
	}
	for name, c := range map[string]struct {
		beats []one
		grace time.Duration
		want  int // the first beat that proves the end; -1 where none does
	}{
		"every 10 s, always there":                 {every(10, -10, 200, kubelet), 0, 60},
		"a pod that takes its time to end":         {every(10, -10, 900, kubelet), 600 * time.Second, 660},
		"every 50 s, always there":                 {every(50, -50, 400, seldom), 0, 250},
		"back after a gap that its Lease tells":    {append(every(10, -10, 0, kubelet), every(10, 150, 300, kubelet)...), 0, 210},
		"back after a gap that its Lease hides":    {append(every(50, -50, 0, seldom), every(50, 190, 500, seldom)...), 0, 240},
		"back after more than any Lease lasts":     {append(every(50, -50, 0, seldom), every(50, 250, 700, seldom)...), 0, 500},
		"no Lease says how long it lasts":          {every(10, -10, 200, 0), 0, 60},
		"a Lease of less than the least":           {every(10, -10, 200, 5), 0, 60},
		"renewed once and never more":              {every(10, -10, 0, kubelet), 0, -1},
		"a shorter Lease soon after it came back":  {append(every(50, -50, 0, seldom), every(10, 190, 500, kubelet)...), 0, 250},
		"a shorter Lease after one beat of a long": {append([]one{{-50, seldom}, {0, seldom}, {190, seldom}}, every(10, 195, 500, kubelet)...), 0, 225},
	} {
		t.Run(name, func(t *testing.T) {
			zero := time.Unix(1_900_000_000, 0)
			known, got := beat{}, -1
			for _, b := range c.beats {
				at := zero.Add(time.Duration(b.at) * time.Second)
				heard := beat{asked: at, at: at, away: max(nodeAway, time.Duration(b.lasts)*time.Second)}
				known = heard.after(known)
				if known.proves(zero, c.grace) {
					got = b.at
					break
				}
			}
			if got != c.want {
				t.Errorf("proven by the beat at %d s, want %d", got, c.want)
			}
		})
	}
}

func TestGraceOf(t *testing.T) {
	for name, c := range map[string]struct {
		spec, deletion *int64
		want           time.Duration
	}{
		"by default":                {nil, nil, 30 * time.Second},
		"its own":                   {new(int64(600)), nil, 600 * time.Second},
		"deleted by force":          {new(int64(600)), new(int64(0)), 600 * time.Second},
		"deleted with a longer one": {nil, new(int64(900)), 900 * time.Second},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionGracePeriodSeconds: c.deletion}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: c.spec}}
		if got := graceOf(pod); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
