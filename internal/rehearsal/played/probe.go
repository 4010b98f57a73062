package played

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// check is one try of a probe.
type check func(ctx context.Context) error

// readiness of a container: its own probe, else whether its first port answers once, else none.
func readiness(c *corev1.Container, ip string) check {
	if c.ReadinessProbe != nil {
		return handler(c, c.ReadinessProbe.ProbeHandler, ip)
	}
	if len(c.Ports) > 0 {
		return dial(net.JoinHostPort(ip, strconv.Itoa(int(c.Ports[0].ContainerPort))))
	}
	return nil
}

func handler(c *corev1.Container, h corev1.ProbeHandler, ip string) check {
	switch {
	case h.HTTPGet != nil:
		return get(c, h.HTTPGet, ip)
	case h.TCPSocket != nil:
		return dial(net.JoinHostPort(ip, portOf(c, h.TCPSocket.Port)))
	case h.GRPC != nil:
		return dial(net.JoinHostPort(ip, strconv.Itoa(int(h.GRPC.Port))))
	}
	return nil // exec: there is no container to run it in
}

func portOf(c *corev1.Container, port intstr.IntOrString) string {
	for _, p := range c.Ports {
		if port.Type == intstr.String && p.Name == port.StrVal {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return port.String()
}

func dial(address string) check {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func get(c *corev1.Container, h *corev1.HTTPGetAction, ip string) check {
	scheme := "http"
	if h.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s%s", scheme, net.JoinHostPort(ip, portOf(c, h.Port)), h.Path)
	// As a kubelet: no connection is kept, and certificates are not checked.
	anyone := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // G402: a kubelet's probes do not verify either
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: anyone}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode >= 400 {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}

// rhythm of a probe.
type rhythm struct {
	period, timeout    time.Duration
	delay              time.Duration
	failures           int
	untilSuccess       time.Duration // period before the first success
	stopsAfterSuccess  bool
	beginsAsSuccessful bool
}

func rhythmOf(p *corev1.Probe) rhythm {
	if p == nil {
		return rhythm{period: time.Second, timeout: time.Second, failures: 1, untilSuccess: fast, stopsAfterSuccess: true}
	}
	or := func(v int32, otherwise int) time.Duration {
		if v == 0 {
			v = int32(otherwise)
		}
		return time.Duration(v) * time.Second
	}
	return rhythm{
		period: or(p.PeriodSeconds, 10), timeout: or(p.TimeoutSeconds, 1), failures: max(1, int(p.FailureThreshold)),
		delay: time.Duration(p.InitialDelaySeconds) * time.Second, untilSuccess: fast,
	}
}

// once gives a try its time.
func (r rhythm) once(ctx context.Context, try check) error {
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return try(limited)
}

// passes is the verdict after so many failures in a row: what was ready stays so until there are enough.
func (r rhythm) passes(before bool, failed int) bool {
	return failed == 0 || (before && failed < r.failures)
}

// pause before the next try.
func (r rhythm) pause(ready bool) time.Duration {
	if ready {
		return r.period
	}
	return min(r.period, r.untilSuccess)
}

// fast is how often a container that is not ready yet is looked at: a kubelet does not wait for the
// period either.
const fast = 250 * time.Millisecond

// follow runs a probe until ctx ends and tells every change of its verdict.
func follow(ctx context.Context, try check, r rhythm, tell func(ok bool)) {
	verdict, failed := r.beginsAsSuccessful, 0
	timer := time.NewTimer(r.delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		failed++
		if r.once(ctx, try) == nil {
			failed = 0
		}
		now := r.passes(verdict, failed)
		if now != verdict && ctx.Err() == nil {
			verdict = now
			tell(now)
		}
		if verdict && r.stopsAfterSuccess {
			return
		}
		timer.Reset(r.pause(verdict))
	}
}
