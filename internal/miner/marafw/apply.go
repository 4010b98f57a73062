package marafw

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const configPath = "miner_config"

// Apply commands one setting.
func (d *Driver) Apply(ctx context.Context, s miner.Setting) error {
	if err := d.offers(s); err != nil {
		return err
	}
	c, err := d.readConf(ctx)
	if err != nil {
		return err
	}
	d.keep(c)
	d.learn()
	if err := d.offers(s); err != nil { // a person may have changed it since
		return err
	}
	selector, target := d.choose(ctx, s)
	if c.is(selector, target) && d.obeys(s) {
		return nil
	}
	return d.tell(ctx, c, selector, target)
}

// offers says what a machine can't be told. Nothing is sent.
func (d *Driver) offers(s miner.Setting) error {
	c := d.capabilities
	switch {
	case !c.Sleep:
		return fmt.Errorf("%s: %w: its configuration names no mode that is known", d.web.Address, miner.ErrUnsupported)
	case s.Kind == miner.Sleep, s.Kind == miner.HashMode && s.Mode == "":
		return nil
	case s.Kind != miner.HashWatts:
		return fmt.Errorf("%s: setting %q %s: %w: nobody knows how many watts a mode draws",
			d.web.Address, s.Kind, s.Mode, miner.ErrUnsupported)
	case !c.Continuous:
		return fmt.Errorf("%s: %w: it does not run by a power target: set mode Auto with one on the machine",
			d.web.Address, miner.ErrUnsupported)
	case s.Watts < c.MinWatts || s.Watts > c.MaxWatts:
		return fmt.Errorf("%s: target of %d W: %w: %d to %d W", d.web.Address, s.Watts, miner.ErrOutOfRange, c.MinWatts, c.MaxWatts)
	}
	return nil
}

// choose turns a setting into a mode and a target; no target is the one that is set.
func (d *Driver) choose(ctx context.Context, s miner.Setting) (string, *int64) {
	switch s.Kind {
	case miner.Sleep:
		return modeSleep, nil
	case miner.HashWatts:
		return modeAuto, &s.Watts
	}
	if d.before == "" {
		d.before = d.history(ctx)
	}
	return cmp.Or(d.before, modeStock), nil
}

// obeys says that the machine, as far as it can be seen, does what its configuration says. One that does not is told
// again.
func (d *Driver) obeys(s miner.Setting) bool {
	if s.Kind == miner.Sleep {
		return !d.active
	}
	return !d.stopped
}

// tell writes the configuration and reads it again: a yes proves nothing.
func (d *Driver) tell(ctx context.Context, c conf, selector string, target *int64) error {
	body, err := c.with(selector, target)
	if err != nil {
		return err
	}
	told := d.post(ctx, body)
	if told != nil && miner.NotApplied(told) {
		return told
	}
	after, err := d.readConf(ctx)
	switch {
	case err != nil:
		return told // it said yes, and is busy restarting
	case after.is(selector, target):
		d.keep(after)
		return nil
	case told != nil:
		return told
	}
	return fmt.Errorf("%s: it said yes, and its configuration is another", d.web.Address)
}

// answer is the reply to an order.
type answer struct {
	Error wire.Flag `json:"error"`
	Text  wire.Text `json:"msg"`
}

func (d *Driver) post(ctx context.Context, body []byte) error {
	reply, err := d.web.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: configPath, Body: body,
		Header: http.Header{"Content-Type": {"application/json"}},
	})
	if err != nil {
		return err
	}
	var a answer
	if err := d.web.Decode(configPath, reply, &a); err != nil {
		return err
	}
	switch {
	case a.Error.Value:
		return fmt.Errorf("%s: %s: %w: %q", d.web.Address, configPath, miner.ErrRefused, a.Text)
	case !a.Error.Set:
		return fmt.Errorf("%s: %s: neither yes nor no", d.web.Address, configPath)
	}
	return nil
}
