package firmwares

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Answer is what one firmware's probe met at an address; a nil Err is a claim.
type Answer struct {
	Firmware miner.Firmware
	Err      error
}

// Ask probes an address for each firmware of among (all of them where it is empty), once, without credentials and
// without a write, and waits for every answer.
func Ask(parent context.Context, t miner.Target, ports map[string]int, among []miner.Firmware) []Answer {
	ctx, cancel := context.WithTimeout(parent, probeTimeout)
	defer cancel()
	var some []entry
	for _, e := range known {
		if len(among) == 0 || slices.Contains(among, e.firmware) {
			some = append(some, e)
		}
	}
	var all []Answer
	for i, answer := range ask(ctx, t, ports, some) {
		all = append(all, Answer{some[i].firmware, <-answer})
	}
	return all
}

// Claims are the firmwares that say an address is theirs, the surest first. One that only may be there counts where
// none is sure.
func Claims(answers []Answer) []miner.Firmware {
	var sure, perhaps []miner.Firmware
	for _, a := range answers {
		switch {
		case a.Err == nil:
			sure = append(sure, a.Firmware)
		case errors.Is(a.Err, miner.ErrPerhaps):
			perhaps = append(perhaps, a.Firmware)
		}
	}
	if len(sure) == 0 {
		return perhaps
	}
	return sure
}

// Ports are where each firmware is looked for, in the order it knocks. They are found by letting every probe knock
// at nothing: no list beside the drivers can go stale.
func Ports(ctx context.Context, ports map[string]int) map[miner.Firmware][]int {
	var mu sync.Mutex
	doors := map[miner.Firmware][]int{}
	for _, e := range known {
		knock := func(_ context.Context, _, address string) (net.Conn, error) {
			_, text, _ := net.SplitHostPort(address)
			port, err := strconv.Atoi(text)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && !slices.Contains(doors[e.firmware], port) {
				doors[e.firmware] = append(doors[e.firmware], port)
			}
			return nil, fmt.Errorf("nothing is there: %w", syscall.ECONNREFUSED)
		}
		_ = e.probe(wire.WithDialer(ctx, knock), at(miner.Target{Address: nowhere}, e.firmware, ports))
	}
	return doors
}

// nowhere is an address of no machine (RFC 5737).
var nowhere = netip.AddrFrom4([4]byte{192, 0, 2, 1})

// PortNames are the names under which ports can be mapped.
func PortNames() []string {
	var names []string
	for _, f := range Supported() {
		names = append(names, string(f))
		if second, ok := secondPorts[f]; ok {
			names = append(names, second)
		}
	}
	return names
}

// openToAll are firmwares that let anyone in who reaches them.
var openToAll = []miner.Firmware{miner.LuxOS, miner.Avalon, miner.AxeOS}

// WantsLogin says whether a firmware takes orders only from who knows its password.
func WantsLogin(f miner.Firmware) bool { return !slices.Contains(openToAll, f) }
