package minerctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

const (
	// How long one operation on a machine may take. The drivers' own limits are shorter; these end a machine that
	// stays just within them, request after request.
	openWithin  = 20 * time.Second
	readWithin  = 15 * time.Second
	applyWithin = 30 * time.Second
)

// Tool is how machines are reached.
type Tool struct {
	// Firmware is miner.Auto where it is to be found out.
	Firmware miner.Firmware
	// Ports by firmwares.PortNames; the firmwares' own where it is empty.
	Ports  map[string]int
	Logins Logins
	// Expect is the MAC or the serial number that the machine has to have; empty takes any.
	Expect string
	Clock  Clock

	// Both are of package firmwares, but in tests.
	ask  func(context.Context, miner.Target, map[string]int, []miner.Firmware) []firmwares.Answer
	open func(context.Context, miner.Target, miner.Firmware, map[string]int) (miner.Driver, miner.Identity, error)
}

// New makes a tool that finds out what answers, on the clock on the wall.
func New() *Tool {
	return &Tool{Firmware: miner.Auto, Clock: Wall{}, ask: firmwares.Ask, open: firmwares.Open}
}

// recognise says which firmware an address has. No credentials are sent.
func (t *Tool) recognise(ctx context.Context, addr netip.Addr) (miner.Firmware, error) {
	if t.Firmware != miner.Auto {
		return t.Firmware, nil
	}
	answers := t.ask(ctx, miner.Target{Address: addr}, t.Ports, nil)
	claims := firmwares.Claims(answers)
	switch {
	case ctx.Err() != nil:
		return "", t.explain(addr, miner.Auto, ctx.Err())
	case len(claims) == 0:
		return "", t.unclaimed(addr, answers, firmwares.Ports(ctx, t.Ports))
	case len(claims) > 1:
		return "", contested(addr, claims)
	}
	return claims[0], nil
}

// enter opens the driver of a machine and makes sure that it is the one that is meant.
func (t *Tool) enter(ctx context.Context, addr netip.Addr, f miner.Firmware) (miner.Driver, miner.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	l := t.Logins.of(f)
	target := miner.Target{Address: addr, Username: l.username, Password: l.password}
	driver, id, err := t.open(ctx, target, f, t.Ports)
	if err != nil {
		return nil, id, t.explain(addr, f, err)
	}
	if t.Expect != "" && !isWho(t.Expect, id) {
		return nil, id, &Problem{
			Address: addr, Err: errAnother,
			What: fmt.Sprintf("--expect %s: another machine answers: MAC %s, serial %s, %s",
				t.Expect, cmp.Or(id.MAC, "unknown"), cmp.Or(id.Serial, "unknown"), cmp.Or(id.Model, "model unknown")),
			Fix: "nothing was changed; scan for where it is now",
		}
	}
	return driver, id, nil
}

// errAnother: the address has another machine than was expected.
var errAnother = errors.New("another machine")

// isWho compares a MAC, however it is written, or a serial number, in any case.
func isWho(expect string, id miner.Identity) bool {
	if id.Serial != "" && strings.EqualFold(expect, id.Serial) {
		return true
	}
	bare := strings.NewReplacer(":", "", "-", "", ".", "")
	return id.MAC != "" && strings.EqualFold(bare.Replace(expect), bare.Replace(id.MAC))
}

// look takes one reading.
func look(ctx context.Context, driver miner.Driver) (miner.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	return driver.Read(ctx)
}
