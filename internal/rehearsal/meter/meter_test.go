package meter

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// measure runs a meter for a while of synthetic time.
func measure(t *testing.T, m *Meter, d time.Duration) []Sample {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var out bytes.Buffer
	if err := m.Run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	var samples []Sample
	if err := Read(&out, func(s Sample) { samples = append(samples, s) }); err != nil {
		t.Fatal(err)
	}
	return samples
}

func TestScheduleDoesNotDriftHoweverSlowTheTruthIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		n := 0
		m := &Meter{Clock: clock.RealClock{}, Limits: NewLimits()}
		m.Mining = func(context.Context) (time.Time, map[string]float64, error) {
			n++
			at := time.Now()
			time.Sleep(time.Duration(n%7) * 33 * time.Millisecond) // longer than the interval, at times
			return at, map[string]float64{"site": 5}, nil
		}
		samples := measure(t, m, 59950*time.Millisecond)
		if len(samples) != 600 {
			t.Fatalf("want 600 samples in 59.95 s, got %d", len(samples))
		}
		for i, s := range samples {
			if s.Seq != int64(i) || s.Missing != "" || !s.At.Equal(began.Add(time.Duration(i)*100*time.Millisecond)) {
				t.Fatalf("sample %d is %+v", i, s)
			}
		}
	})
}

func TestALateLookStandsForItsInstantAndAFailedOneIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		began := time.Now()
		m := &Meter{Clock: clock.RealClock{}, Limits: NewLimits()}
		m.Mining = func(ctx context.Context) (time.Time, map[string]float64, error) {
			n++
			switch n {
			case 2:
				return time.Time{}, nil, errors.New("refused")
			case 3:
				time.Sleep(251 * time.Millisecond) // the truth is that of another instant
				return time.Now(), nil, nil
			case 4:
				<-ctx.Done()
				return time.Time{}, nil, ctx.Err()
			}
			return time.Now(), nil, nil
		}
		var missing []string
		samples := measure(t, m, 450*time.Millisecond)
		for _, s := range samples {
			missing = append(missing, s.Missing)
		}
		want := []string{"", "refused", "", context.DeadlineExceeded.Error(), ""}
		if len(missing) != len(want) {
			t.Fatalf("got %q", missing)
		}
		for i := range want {
			if missing[i] != want[i] {
				t.Errorf("sample %d: want %q, got %q", i, want[i], missing[i])
			}
		}
		if late := samples[2].At.Sub(began); late != 451*time.Millisecond {
			t.Errorf("the late look stands for %s", late)
		}
	})
}

func gpuPod(name, gpus string, states ...corev1.ContainerState) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: "n"}}
	for _, s := range states {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(gpus)}}})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{State: s})
	}
	return pod
}

func TestAPodDrawsWhileAContainerRuns(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	lost := gpuPod("lost", "4", running, running)
	lost.Status.Phase = corev1.PodFailed // as the garbage collector writes it for a node that is gone
	deleting := gpuPod("deleting", "1", running)
	deleting.DeletionTimestamp = new(metav1.Time)
	elsewhere := gpuPod("elsewhere", "8", running)
	elsewhere.Spec.NodeName = "other"
	cases := map[string]struct {
		pod  *corev1.Pod
		want int64
	}{
		"bound":     {gpuPod("a", "8", waiting), 0},
		"running":   {gpuPod("b", "8", running), 8000},
		"one ended": {gpuPod("c", "4", running, ended), 8000},
		"all ended": {gpuPod("d", "4", ended, ended), 0},
		"lost node": {lost, 8000},
		"deleting":  {deleting, 1000},
		"elsewhere": {elsewhere, 0},
	}
	for name, c := range cases {
		m := &Meter{Config: Config{Nodes: map[string]Node{"n": {Budget: "hall", Resource: "nvidia.com/gpu", WattsPerGPU: 1000}}}}
		m.SetPod(c.pod)
		if got := m.ai()["hall"]; got != c.want {
			t.Errorf("%s: want %d W, got %d", name, c.want, got)
		}
		m.DropPod(c.pod.UID)
		if got := m.ai()["hall"]; got != 0 {
			t.Errorf("%s: draws %d W when it is gone", name, got)
		}
	}
}
