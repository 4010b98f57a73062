package antminer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	// writeTimeout bounds an order and its answer. One machine took 21 s.
	writeTimeout = 45 * time.Second
	// formTimeout is that of a form: its script waits half a minute after the restart of the mining process.
	formTimeout = 90 * time.Second
	// lookEvery is how often the configuration of a machine is looked at that has not answered yet: it is
	// written long before the answer.
	lookEvery = 3 * time.Second
)

// Apply commands one setting.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	if err := d.takes(s); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	c, err := d.readConf(ctx)
	if err != nil {
		return err
	}
	d.keep(c.mode())
	want := sleep
	if s.Kind != miner.Sleep {
		want = cmp.Or(d.before, normal)
	}
	switch {
	case d.set == "":
		return d.unsupported("its configuration names no mode that is known")
	case d.obeys(want):
		return nil
	}
	return d.tell(ctx, c, want)
}

// takes says why a setting can't be commanded.
func (d *Driver) takes(s miner.Setting) error {
	if s.Kind != miner.Sleep && (s.Kind != miner.HashMode || s.Mode != "") {
		return fmt.Errorf("%s: setting %q %s: %w: it can be put to sleep and woken", d.web.Address, s.Kind, s.Mode, miner.ErrUnsupported)
	}
	if d.old && !d.commandable() {
		return d.unsupported("it is a model of 2019 in a mode, or with settings, that its form can't keep")
	}
	return nil
}

func (d *Driver) unsupported(why string) error {
	return fmt.Errorf("%s: %w: %s", d.web.Address, miner.ErrUnsupported, why)
}

// obeys says that the machine was told a mode and, as far as it can be seen, follows. One that does not is
// told again: that restarts its mining process.
func (d *Driver) obeys(want mode) bool {
	switch {
	case d.set != want:
		return false
	case want == sleep:
		return !d.active && (d.running == "" || d.running == sleep)
	}
	return d.running != sleep
}

// tell tries the ways to tell a mode until the configuration shows it: a yes proves nothing here.
func (d *Driver) tell(ctx context.Context, c conf, want mode) error {
	bodies, err := c.bodies(want)
	if err != nil {
		return fmt.Errorf("%s: %w", d.web.Address, err)
	}
	for _, body := range bodies {
		if done, err := d.tellOnce(ctx, body, want); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: it did not refuse, and stayed in mode %s", d.web.Address, d.set)
}

// tellOnce says whether the machine took a mode; no error and no is one that did not understand.
func (d *Driver) tellOnce(ctx context.Context, body []byte, want mode) (done bool, err error) {
	told := d.order(ctx, body, want)
	if told != nil && miner.NotApplied(told) {
		return false, told
	}
	after, err := d.readConf(ctx)
	switch {
	case err != nil && told != nil:
		return false, told
	case err != nil, after.mode() == want: // it said yes, and is busy restarting
		d.keep(want)
		return true, nil //nolint:nilerr // see above
	case errors.Is(told, errPassedOver):
		return false, fmt.Errorf("%w: %w", miner.ErrBusy, told)
	case errors.Is(told, errNoWord):
		return false, nil
	}
	return false, told
}

// pending is an order whose answer is being waited for.
type pending struct {
	done chan struct{}
	err  error
}

// order posts a configuration and waits for the answer, or until the configuration shows the mode. The
// request itself is never given up before its own time is over: a script that is stopped half-way leaves a
// torn configuration, or a lock that keeps every later order out.
func (d *Driver) order(ctx context.Context, body []byte, want mode) error {
	p := &pending{done: make(chan struct{})}
	d.pending = p
	detached := context.WithoutCancel(ctx)
	go func() {
		defer close(p.done)
		p.err = d.post(detached, body)
	}()
	for {
		select {
		case <-p.done:
			d.pending = nil
			return p.err
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: no answer yet: %w: %w", d.web.Address, confPath, miner.ErrUnderWay, ctx.Err())
		case <-d.after(lookEvery):
			if c, err := d.readConf(ctx); err == nil && c.mode() == want {
				return nil
			}
		}
	}
}

// settle waits for the answer to an order before this one.
func (d *Driver) settle(ctx context.Context) error {
	if d.pending == nil {
		return nil
	}
	select {
	case <-d.pending.done:
		d.pending = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: the order before this one is not answered yet", d.web.Address, miner.ErrBusy)
	}
}

// answer is the reply to an order.
type answer struct {
	Stats  wire.Text `json:"stats"`
	Status wire.Text `json:"status"`
	Code   wire.Text `json:"code"`
	Text   wire.Text `json:"msg"`
}

// post sends a configuration as the firmware's own page does. Sent twice it does the same twice over, so it is
// not sent again where the connection is lost: the configuration shows what came of it.
func (d *Driver) post(ctx context.Context, body []byte) error {
	kind := "text/plain;charset=UTF-8"
	if d.old {
		kind = "application/x-www-form-urlencoded; charset=UTF-8"
	}
	reply, err := d.patient.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: confPath, Body: body,
		Header: http.Header{"Content-Type": {kind}, "X-Requested-With": {"XMLHttpRequest"}},
	})
	if err != nil {
		return err
	}
	if d.old {
		return d.formAnswer(string(reply.Body))
	}
	return d.pageAnswer(reply.Body)
}

const confPath = "set_miner_conf.cgi"

// pageAnswer reads that of the page of newer models.
func (d *Driver) pageAnswer(body []byte) error {
	var a answer
	if wire.Decode(body, &a) != nil {
		return fmt.Errorf("%s: %s: %w", d.web.Address, confPath, errNoWord)
	}
	switch verdict := strings.ToLower(string(cmp.Or(a.Stats, a.Status))); {
	case verdict == "success" && a.Text != "FAIL!":
		return nil
	case verdict != "error" && verdict != "fail" && verdict != "failed" && a.Text != "FAIL!":
		return fmt.Errorf("%s: %s: %w", d.web.Address, confPath, errNoWord)
	case strings.Contains(strings.ToLower(string(a.Text)), "busy"):
		return fmt.Errorf("%s: %s: %w: code %q %q", d.web.Address, confPath, miner.ErrBusy, a.Code, a.Text)
	}
	return fmt.Errorf("%s: %s: %w: code %q %q", d.web.Address, confPath, miner.ErrRefused, a.Code, a.Text)
}

// formAnswer reads that of a form: its script says ok, or nothing where it waited for another order and passed this
// one over.
func (d *Driver) formAnswer(body string) error {
	switch strings.TrimSpace(body) {
	case "ok":
		return nil
	case "":
		return fmt.Errorf("%s: %s: %w", d.web.Address, confPath, errPassedOver)
	}
	return fmt.Errorf("%s: %s: %w", d.web.Address, confPath, errNoWord)
}

var (
	// errNoWord is an answer that is neither yes nor no.
	errNoWord = errors.New("neither yes nor no")
	// errPassedOver is the empty one of a form.
	errPassedOver = errors.New("no answer: it may have passed this order over for another")
)
