package minerctl

import (
	"context"
	"net/netip"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// turns is how many readings bring all that a driver reads: those that look at temperature, faults and settings in
// turn have been through them then.
const turns = 9

// Probe says who a machine is, what it does and what it can be told. It never writes.
func (t *Tool) Probe(ctx context.Context, addr netip.Addr) (Document, error) {
	f, err := t.recognise(ctx, addr)
	if err != nil {
		return Document{}, err
	}
	driver, id, err := t.enter(ctx, addr, f)
	if err != nil {
		return Document{}, err
	}
	var r miner.Reading
	for range turns {
		if r, err = look(ctx, driver); err != nil {
			return Document{}, t.explain(addr, f, err)
		}
		if whole(r) {
			break
		}
	}
	d := identified(addr, id)
	d.read(r, driver.Capabilities())
	return d, nil
}

// whole says that a reading lacks nothing, so that another would say no more.
func whole(r miner.Reading) bool {
	return r.TemperatureC != nil && r.TargetWatts != nil && r.Uptime != nil && r.Watts != nil && r.HashrateTHs != nil
}
