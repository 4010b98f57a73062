package marafw

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// look is what one reading is made of.
type look struct {
	brief brief
	conf  *conf // nil where it was not read this time
}

// Read takes a reading: one request, and one more at the same time unless the machine hashes as it was told.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	slow := d.readings%slowEvery == 0
	d.readings++
	l, err := d.look(ctx, slow)
	if err != nil {
		return miner.Reading{}, err
	}
	d.notice(l)
	d.learn()
	return d.reading(l.brief), nil
}

func (d *Driver) look(ctx context.Context, everything bool) (look, error) {
	var l look
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := d.get(ctx, "brief", &l.brief)
		if err == nil && !l.brief.tells() {
			err = fmt.Errorf("%s: brief: it names neither status nor hash rate", d.web.Address)
		}
		return err
	})
	if everything || !d.active || d.conf.asleep() {
		group.Go(func() error {
			c, err := d.readConf(ctx)
			l.conf = &c
			return err
		})
	}
	return l, group.Wait()
}

// readConf reads the configuration; a machine without such a page has none.
func (d *Driver) readConf(ctx context.Context) (conf, error) {
	reply, err := d.web.Do(ctx, wire.Request{Path: configPath})
	if missing(err) {
		return conf{}, nil
	}
	if err != nil {
		return conf{}, err
	}
	c, ok := confOf(reply.Body)
	if !ok { // and nothing of it is shown
		return conf{}, fmt.Errorf("%s: %s: no configuration", d.web.Address, configPath)
	}
	return c, nil
}

// notice keeps what later readings and orders go by.
func (d *Driver) notice(l look) {
	if l.conf != nil {
		d.keep(*l.conf)
	}
	d.active = l.brief.hashes() || l.brief.powered()
	d.stopped = l.brief.saysAsleep()
	if stock := l.brief.Stock.Scaled(1. / gigaPerTera); stock != nil && *stock > 0 && *stock < wire.MaxWatts {
		d.stockTHs = *stock
	}
}

func (d *Driver) keep(c conf) {
	d.conf = c
	if selector := c.selector(); selector != "" && !c.asleep() {
		d.before = selector
	}
	if target := c.target(); target != nil {
		d.mostWatts = max(d.mostWatts, *target)
	}
}

func (b brief) saysAsleep() bool {
	return wordOf(b.Status) == sleeping || b.Status == "" && strings.EqualFold(string(b.Mode), modeSleep)
}

func (d *Driver) reading(b brief) miner.Reading {
	r := miner.Reading{
		State:        d.state(b),
		HashrateTHs:  b.rate(),
		TargetWatts:  d.conf.target(),
		Mode:         string(b.Mode),
		TemperatureC: b.temperature(),
		Uptime:       b.Elapsed.Seconds(),
		Faults:       b.faults(),
	}
	if selector := d.conf.selector(); selector != "" {
		r.Mode = selector
	}
	if d.tuned() { // and so not told to sleep
		r.Effective, r.Ceiling = d.conf.target(), d.conf.target()
	}
	setWatts(&r, b)
	return r
}

// setWatts takes the machine's word for its watts. A 0 of one that is awake says that nothing measures it, and an
// estimate of one that sleeps leaves out what runs beside the boards.
func setWatts(r *miner.Reading, b brief) {
	watts := b.Watts.Watts()
	if watts == nil {
		return
	}
	source := miner.Estimate
	if strings.EqualFold(string(b.Source), "PSU") && *watts > 0 {
		source = miner.PSU
	}
	if r.State == miner.Sleeping && source == miner.Estimate {
		*watts = max(*watts, residualWatts)
	}
	if *watts > 0 {
		r.Watts, r.WattsSource = watts, source
	}
}

// state judges the machine by what it was told, its word, hash rate and watts together.
func (d *Driver) state(b brief) miner.State {
	if d.conf.asleep() || d.conf.selector() == "" && b.saysAsleep() {
		return b.onItsWayDown()
	}
	said := wordOf(b.Status)
	switch {
	case said == stopping:
		return miner.Stopping
	case b.hashes():
		return miner.Hashing
	case said == failed, said == idle: // it stopped by itself, and may start so too: nobody's sleep
		return miner.Failed
	case said == unknown, !b.Rate.Set:
		return miner.Unknown
	}
	return miner.Starting
}

// onItsWayDown is the state of a machine that was told to sleep: only one that says that it does, and neither hashes
// nor draws, is asleep.
func (b brief) onItsWayDown() miner.State {
	said := wordOf(b.Status)
	switch {
	case b.hashes() || b.powered(), said == mining, said == starting, said == stopping:
		return miner.Stopping
	case b.saysAsleep() && b.Rate.Set:
		return miner.Sleeping
	case said == failed, said == idle:
		return miner.Failed
	}
	return miner.Unknown
}
