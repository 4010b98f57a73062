package antminer

import (
	"cmp"
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// look is what one reading is made of.
type look struct {
	row  row
	conf *conf // nil where it was not read this time
	// metered is what the power port or the RPC named; nil where neither was asked, or did.
	metered *int64
	checks  *summary
}

// watts is the draw that any of its sources names, 0 only where none names more.
func (l look) watts() *int64 {
	if said := l.row.watts(); said != nil && (*said > 0 || l.metered == nil) {
		return said
	}
	return l.metered
}

// metersItself says that stats.cgi names watts. A 0 may be what it writes where nothing measures.
func (l look) metersItself() bool {
	said := l.row.watts()
	return said != nil && *said > 0
}

// Read takes a reading. Its requests go out at the same time: the pages of a small control board may take
// seconds, each.
func (d *Driver) Read(ctx context.Context) (miner.Reading, error) {
	slow := d.readings%slowEvery == 0
	d.readings++
	if d.mute && d.readings%pagesEvery == 0 {
		d.lookForPages(ctx)
	}
	l, err := d.look(ctx, slow)
	if err != nil {
		return miner.Reading{}, err
	}
	d.notice(l)
	r := d.reading(l)
	d.active = r.State == miner.Hashing || r.State == miner.Stopping
	if d.readings%meterEvery == 0 && !l.metersItself() && d.meter == noMeter {
		d.findMeter(ctx)
	}
	d.learn()
	return r, nil
}

// look reads what the mining process tells, and the configuration unless it hashes as it was told.
func (d *Driver) look(ctx context.Context, everything bool) (look, error) {
	var l look
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		l.row, err = d.readStats(ctx)
		return err
	})
	if !d.mute && (everything || !d.active || d.set == sleep) {
		group.Go(func() error {
			c, err := d.readConf(ctx)
			l.conf = &c
			return err
		})
	}
	if everything && !d.old {
		group.Go(func() error {
			var s summary
			if d.web.Get(ctx, "summary.cgi", &s) == nil {
				l.checks = &s
			}
			return nil // a reading stands without them
		})
	}
	if d.meter != noMeter {
		group.Go(func() error {
			l.metered = d.readMeter(ctx)
			return nil // likewise
		})
	}
	return l, group.Wait()
}

// lookForPages is for a machine that was met without: its web server may only have been away.
func (d *Driver) lookForPages(ctx context.Context) {
	var who systemInfo
	if d.web.Get(ctx, "get_system_info.cgi", &who) == nil && isAntminer(who.Type) {
		_, _ = d.Identify(ctx) // where that fails it is read as before
	}
}

func (d *Driver) readStats(ctx context.Context) (row, error) {
	if d.old {
		r, err := d.rpc.row(ctx)
		r.Unit = cmp.Or(r.Unit, unitOf(d.who.Type))
		return r, err
	}
	var s stats
	err := d.web.Get(ctx, statsPath, &s)
	if err == nil && !s.isStats() {
		err = fmt.Errorf("%s: stats: its mining process does not answer", d.web.Address)
	}
	return s.row(), err
}

// readConf reads the configuration; a machine without such a page has no mode.
func (d *Driver) readConf(ctx context.Context) (conf, error) {
	reply, err := d.web.Do(ctx, wire.Request{Path: "get_miner_conf.cgi"})
	if missing(err) {
		return conf{}, nil
	}
	if err != nil {
		return conf{}, err
	}
	c, ok := confOf(reply.Body)
	if !ok { // and nothing of it is shown
		return conf{}, fmt.Errorf("%s: get_miner_conf.cgi: no configuration", d.web.Address)
	}
	c.old = d.old
	return c, nil
}

func (d *Driver) readMeter(ctx context.Context) *int64 {
	if d.meter == powerMeter {
		return d.readPower(ctx)
	}
	var s stats
	if d.rpc.get(ctx, "stats", &s) != nil {
		return nil
	}
	return s.row().watts()
}

// readPower asks the port that newer mining processes tell their watts on. It wants no login, and gets none.
func (d *Driver) readPower(ctx context.Context) *int64 {
	reply, err := d.power.Exchange(ctx, wire.Request{Path: "/miner_power"})
	if err != nil || !reply.OK() {
		return nil
	}
	return powerText(reply.Body)
}

// notice keeps what later readings and orders go by.
func (d *Driver) notice(l look) {
	if l.conf != nil {
		d.keep(l.conf.mode())
		_, err := l.conf.bodies(normal)
		d.lossy = err != nil
	}
	if l.checks != nil {
		d.checks = *l.checks
	}
	if d.running = modeOf(l.row.Running); d.old && l.row.LegacyMode == oldSleep {
		d.running, d.set = sleep, sleep
	}
	d.idealTHs = max(d.idealTHs, l.row.ideal())
}

// oldSleep is the mode that a model of 2019 names when it sleeps. Newer ones name other numbers in that place,
// that are no modes.
const oldSleep = "254"

func (d *Driver) keep(set mode) {
	d.set = set
	if set != sleep && set != "" {
		d.before = set
	}
}

func (d *Driver) reading(l look) miner.Reading {
	r := miner.Reading{
		State:        d.state(l),
		HashrateTHs:  l.row.rate(),
		Mode:         d.set.String(),
		TemperatureC: l.row.temperature(),
		Uptime:       l.row.Elapsed.Seconds(),
		Faults:       d.checks.faults(d.set == sleep),
	}
	if r.HashrateTHs == nil && r.State == miner.Sleeping { // it has no mining process to tell
		r.HashrateTHs = new(float64)
	}
	switch watts := l.watts(); {
	case watts == nil:
	case *watts > 0:
		r.Watts, r.WattsSource = watts, miner.Estimate // nobody says what measures them
	case r.State == miner.Sleeping:
		asleep := int64(residualWatts)
		r.Watts, r.WattsSource = &asleep, miner.Estimate
	}
	return r
}

// state judges the machine by the mode it was told, hash rate and watts together: some say yes to a sleep and
// hash on, all for a while.
func (d *Driver) state(l look) miner.State {
	watts := l.watts()
	hashes := l.row.hashes()
	switch {
	case d.set == sleep && (hashes || watts != nil && *watts > awakeWatts):
		return miner.Stopping
	case d.set == sleep && l.row.silent():
		return miner.Sleeping
	case hashes:
		return miner.Hashing
	case d.set == "" || d.set == sleep:
		return miner.Unknown
	}
	return miner.Starting
}
