package minerctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

func TestErrorsSayWhatAndWhatMendsIt(t *testing.T) {
	wrap := func(err error) error {
		return fmt.Errorf("identifying 10.0.0.7 as VNish: %w", fmt.Errorf("10.0.0.7:80: GET x: %w: \"odd\"\nsecond line", err))
	}
	for want, err := range map[string]error{
		"10.0.0.7: wrong password: VNish refuses the login of --credentials (GET x); mend VNish.password":                                               wrap(miner.ErrUnauthorized),
		"10.0.0.7: VNish takes no orders, for its API is locked (GET x: its API is locked":                                                              wrap(miner.ErrLocked),
		"10.0.0.7: VNish let us in, and refuses or has let expire the token it gave":                                                                    wrap(miner.ErrToken),
		"10.0.0.7: VNish is of a version that is not supported (GET x":                                                                                  wrap(miner.ErrVersion),
		"10.0.0.7: it is busy with another client (GET x: session held by another client: 'odd' second line); try again in a minute":                    wrap(miner.ErrBusy),
		"10.0.0.7: it is busy with another client (GET x: session held by another client, ask again in 30s: 'odd' second line); try again in 30s; that": wrap(&miner.Busy{After: 30 * time.Second}),
		"10.0.0.7: nothing answers as VNish (GET x: unreachable: 'odd' second line); is it on":                                                          wrap(miner.ErrUnreachable),
		"10.0.0.7: what answers is not VNish as it is known here":                                                                                       wrap(miner.ErrNotThisFirmware),
		"10.0.0.7: VNish refuses (GET x":                                    wrap(miner.ErrRefused),
		"10.0.0.7: VNish answers too slowly":                                wrap(context.DeadlineExceeded),
		"10.0.0.7: interrupted":                                             wrap(context.Canceled),
		"10.0.0.7: applied in part":                                         fmt.Errorf("%w: %w", miner.ErrHalfApplied, miner.ErrUnreachable),
		"10.0.0.7: GET x: something new: 'odd' second line; probe it again": wrap(errors.New("something new")),
		"10.0.0.7: wrong password: VNish refuses the login of --credentials (unlock: HTTP 403); mend VNish": fmt.Errorf("10.0.0.7:80: unlock: HTTP 403: %w: set password of the pool's credentials secret", miner.ErrUnauthorized),
	} {
		tool := New()
		tool.Logins = Logins{common: login{password: "s3cr3t"}}
		got := tool.explain(place, miner.VNish, err)
		if !strings.HasPrefix(got.Error(), want) || strings.Contains(got.Error(), "\n") || !errors.Is(got, err) {
			t.Errorf("want %q,\n got %q", want, got)
		}
		if strings.Contains(got.Error(), "s3cr3t") || strings.Contains(got.Error(), "pool's") {
			t.Errorf("%q", got)
		}
	}
}

func TestWhoeverAnswersAsNobodyIsToldWhatWasTried(t *testing.T) {
	for want, second := range map[string]error{
		"10.0.0.7: nothing answers at port 80, 4028, 4433; is it on": miner.ErrUnreachable,
		"no firmware known here: tried LuxOS at 4028 (no connection), WhatsMiner at 4028, 4433 (no connection), VNish at 80 (GET /: HTTP 200 is not": fmt.Errorf(
			"10.0.0.7:80: %w: GET /: HTTP 200 is not the page of VNish", miner.ErrNotThisFirmware),
	} {
		tool := New()
		tool.ask = func(context.Context, miner.Target, map[string]int, []miner.Firmware) []firmwares.Answer {
			return []firmwares.Answer{{Firmware: miner.LuxOS, Err: miner.ErrUnreachable}, {Firmware: miner.WhatsMiner, Err: miner.ErrUnreachable}, {Firmware: miner.VNish, Err: second}}
		}
		_, err := tool.Probe(t.Context(), place)
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, miner.ErrUnreachable) && !errors.Is(err, miner.ErrNotThisFirmware) {
			t.Errorf("want %q,\n got %v", want, err)
		}
	}
}

func TestAProbeReadsUntilNothingIsMissing(t *testing.T) {
	for name, c := range map[string]struct{ from, want int }{"at the fifth": {5, 5}, "never": {100, turns}} {
		f := s21(t)
		tool := f.tool()
		d := &turning{fake: f, from: c.from}
		tool.open = func(context.Context, miner.Target, miner.Firmware, map[string]int) (miner.Driver, miner.Identity, error) {
			return d, f.id, nil
		}
		got, err := tool.Probe(t.Context(), place)
		if err != nil || d.reads != c.want || (got.TemperatureC != nil) != (c.from <= turns) || len(f.applied) > 0 {
			t.Errorf("%s: %d readings, %+v, %v", name, d.reads, got, err)
		}
	}
}

// turning is a machine of which some readings say no temperature.
type turning struct {
	*fake
	reads, from int
}

func (d *turning) Read(ctx context.Context) (miner.Reading, error) {
	d.reads++
	r, err := d.fake.Read(ctx)
	r.Uptime = new(d.clock.now.Sub(d.clock.now))
	if d.reads >= d.from {
		r.TemperatureC = new(65.0)
	}
	return r, err
}
