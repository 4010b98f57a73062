package proc

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string) Spec {
	t.Helper()
	return Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", script}, LogPath: filepath.Join(t.TempDir(), "log")}
}

func TestExitIsToldApart(t *testing.T) {
	cases := map[string]Exit{
		"exit 0":     {},
		"exit 3":     {Code: 3},
		"kill -9 $$": {Code: 137, Signal: syscall.SIGKILL},
	}
	for script, want := range cases {
		p, err := Start(shell(t, script))
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if p.Exit() != want {
			t.Errorf("%s: want %v, got %v", script, want, p.Exit())
		}
	}
}

func TestEndOfAProcessEndsItsGroup(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	spec := shell(t, "sleep 1000 & exit 0")
	spec.Stdout = write
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	write.Close()
	<-p.Done()
	// The sleeping child holds the pipe open for as long as it lives.
	if _, err := io.ReadAll(read); err != nil {
		t.Fatal(err)
	}
}

func TestStopReachesAPausedProcess(t *testing.T) {
	p, err := Start(shell(t, "sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Stop(time.Hour)
	if p.Exit().Signal != syscall.SIGTERM {
		t.Errorf("want it ended by SIGTERM, got %v", p.Exit())
	}
}

func TestServiceIsStartedAgain(t *testing.T) {
	ends := make(chan Exit, 10)
	s, err := Serve(shell(t, "exit 4"), Restart{First: 1, Next: time.Hour, Max: time.Hour}, func(_ string, e Exit) { ends <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(0)
	for range 2 {
		if e := <-ends; e.Code != 4 {
			t.Errorf("want code 4, got %v", e)
		}
	}
	if s.Restarts() != 2 {
		t.Errorf("want the second restart waiting, got %d", s.Restarts())
	}
	if err := s.Start(); err != nil { // by hand, before the hour is over
		t.Fatal(err)
	}
	<-ends
}

func TestHaltedServiceStaysDownUntilItIsStarted(t *testing.T) {
	ends := make(chan Exit, 10)
	s, err := Serve(shell(t, "sleep 1000"), Restart{First: 1, Next: 1, Max: 1}, func(_ string, e Exit) { ends <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(0)
	if err := s.Halt(); err != nil {
		t.Fatal(err)
	}
	if e := <-ends; e.Signal != syscall.SIGKILL { // told when it is decided whether it runs again
		t.Errorf("got %v", e)
	}
	if s.Restarts() != 0 || s.Running() {
		t.Errorf("it is back: %d restarts", s.Restarts())
	}
	if err := s.Start(); err != nil || !s.Running() {
		t.Fatalf("it does not start: %v", err)
	}
	if err := s.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ends
	if s.Restarts() != 1 {
		t.Error("a service that was started again is not minded any more")
	}
}

func TestStoppedServiceStaysStopped(t *testing.T) {
	s, err := Serve(shell(t, "sleep 1000"), KubeletRestart, func(string, Exit) { t.Error("heard of a wanted end") })
	if err != nil {
		t.Fatal(err)
	}
	s.Stop(time.Hour)
	if err := s.Start(); err != nil || s.Running() {
		t.Errorf("started again: %v", err)
	}
}

func TestRestartDelays(t *testing.T) {
	want := []time.Duration{1, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute}
	for n, w := range want {
		if got := KubeletRestart.Delay(n); got != w {
			t.Errorf("restart %d: want %s, got %s", n, w, got)
		}
	}
}

func TestOnlyWhatGoesAheadGoesAhead(t *testing.T) {
	// The scheduling policy and the real-time priority.
	spec := shell(t, "cut -d ' ' -f 40,41 /proc/self/stat")
	order := func() string {
		p, err := Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		return LastLines(spec.LogPath, 1)
	}
	usual := order()
	spec.Ahead = true
	first := order()
	spec.Ahead = false
	if after := order(); after != usual {
		t.Errorf("going ahead was left behind: %q, not %q", after, usual)
	}
	if first == usual {
		t.Skip("no privilege to go ahead")
	}
}
