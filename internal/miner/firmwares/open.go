// Package firmwares finds out which driver an address needs. It never writes to a machine, and sends
// credentials only where the firmware they are for seems to answer.
package firmwares

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/antminer"
	"github.com/counterweight-dev/counterweight/internal/miner/auradine"
	"github.com/counterweight-dev/counterweight/internal/miner/avalon"
	"github.com/counterweight-dev/counterweight/internal/miner/axeos"
	"github.com/counterweight-dev/counterweight/internal/miner/braiins"
	"github.com/counterweight-dev/counterweight/internal/miner/epic"
	"github.com/counterweight-dev/counterweight/internal/miner/luxos"
	"github.com/counterweight-dev/counterweight/internal/miner/marafw"
	"github.com/counterweight-dev/counterweight/internal/miner/protorig"
	"github.com/counterweight-dev/counterweight/internal/miner/sealminer"
	"github.com/counterweight-dev/counterweight/internal/miner/vnish"
	"github.com/counterweight-dev/counterweight/internal/miner/whatsminer"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// entry is one firmware: how to tell it and how to drive it.
type entry struct {
	firmware miner.Firmware
	// probe asks an address once, without credentials, whether this firmware may be there.
	probe func(context.Context, miner.Target) error
	open  func(miner.Target) miner.Driver
}

// known firmwares, the surest to tell first.
var known = []entry{
	{miner.LuxOS, luxos.Probe, func(t miner.Target) miner.Driver { return luxos.New(t) }},
	{miner.WhatsMiner, whatsminer.Probe, func(t miner.Target) miner.Driver { return whatsminer.New(t) }},
	{miner.Avalon, avalon.Probe, func(t miner.Target) miner.Driver { return avalon.New(t) }},
	{miner.SealMiner, sealminer.Probe, func(t miner.Target) miner.Driver { return sealminer.New(t) }},
	{miner.EPIC, epic.Probe, func(t miner.Target) miner.Driver { return epic.New(t) }},
	{miner.Auradine, auradine.Probe, func(t miner.Target) miner.Driver { return auradine.New(t) }},
	{miner.VNish, vnish.Probe, func(t miner.Target) miner.Driver { return vnish.New(t) }},
	{miner.ProtoRig, protorig.Probe, func(t miner.Target) miner.Driver { return protorig.New(t) }},
	{miner.AxeOS, axeos.Probe, func(t miner.Target) miner.Driver { return axeos.New(t) }},
	{miner.BraiinsOS, braiins.Probe, func(t miner.Target) miner.Driver { return braiins.New(t) }},
	{miner.MaraFW, marafw.Probe, func(t miner.Target) miner.Driver { return marafw.New(t) }},
	{miner.Antminer, antminer.Probe, func(t miner.Target) miner.Driver { return antminer.New(t) }},
}

// Supported are the firmwares that have a driver.
func Supported() []miner.Firmware {
	var names []miner.Firmware
	for _, e := range known {
		names = append(names, e.firmware)
	}
	return names
}

// Open makes the driver for a machine and identifies it. ports maps a firmware's name to the port it has
// at this site; without one the target's port counts, and without that the firmware's own. With
// miner.Auto (or "") every firmware is asked once, at the same time and without credentials: an address
// that nobody uses costs at most wire.DialTimeout. Errors wrap miner.ErrUnreachable where nothing
// answers and miner.ErrNotThisFirmware where something else does.
func Open(ctx context.Context, t miner.Target, firmware miner.Firmware, ports map[string]int) (
	miner.Driver, miner.Identity, error,
) {
	var chosen *entry
	var err error
	if firmware == miner.Auto || firmware == "" {
		chosen, err = recognise(ctx, t, ports)
	} else {
		chosen, err = named(firmware)
	}
	if err != nil {
		return nil, miner.Identity{}, err
	}
	driver := chosen.open(at(t, chosen.firmware, ports))
	identity, err := driver.Identify(ctx)
	if err != nil {
		return nil, miner.Identity{}, fmt.Errorf("identifying %s as %s: %w", t.Address, chosen.firmware, err)
	}
	return driver, identity, nil
}

func named(firmware miner.Firmware) (*entry, error) {
	for i := range known {
		if known[i].firmware == firmware {
			return &known[i], nil
		}
	}
	return nil, fmt.Errorf("firmware %q: %w: no driver of that name", firmware, miner.ErrUnsupported)
}

// at puts the site's ports for a firmware into the target.
func at(t miner.Target, firmware miner.Firmware, ports map[string]int) miner.Target {
	t.Port = cmp.Or(ports[string(firmware)], t.Port)
	t.SecondPort = cmp.Or(ports[secondPorts[firmware]], t.SecondPort)
	return t
}

// secondPorts are what the second port is called of firmwares that have one.
var secondPorts = map[miner.Firmware]string{
	miner.WhatsMiner: "WhatsMinerV3", miner.Auradine: "AuradineRPC", miner.SealMiner: "SealMinerWeb", miner.BraiinsOS: "BraiinsOSRPC",
	miner.Antminer: "AntminerRPC",
}

// probeTimeout bounds the wait for a machine that takes the connection and says nothing.
const probeTimeout = 5 * time.Second

// ask probes for some firmwares at once, each answer in a channel of its own.
func ask(ctx context.Context, t miner.Target, ports map[string]int, some []entry) []chan error {
	answers := make([]chan error, len(some))
	for i, e := range some {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- e.probe(wire.Passing(ctx), at(t, e.firmware, ports)) }()
	}
	return answers
}

// recognise asks every firmware at once and takes the first in order that says yes, else the first that may be it.
func recognise(parent context.Context, t miner.Target, ports map[string]int) (*entry, error) {
	ctx, cancel := context.WithTimeout(parent, probeTimeout)
	defer cancel()
	answers := ask(ctx, t, ports, known)
	var errs []error
	var perhaps *entry
	reachable := false
	for i := range known {
		err := <-answers[i]
		if err == nil {
			return &known[i], nil
		}
		if perhaps == nil && errors.Is(err, miner.ErrPerhaps) {
			perhaps = &known[i]
		}
		errs = append(errs, err)
		reachable = reachable || !errors.Is(err, miner.ErrUnreachable)
	}
	if err := parent.Err(); err != nil {
		return nil, fmt.Errorf("recognising %s: %w", t.Address, err)
	}
	if perhaps != nil {
		return perhaps, nil
	}
	if !reachable {
		return nil, fmt.Errorf("recognising %s: %w: %s", t.Address, miner.ErrUnreachable, words(errs))
	}
	return nil, fmt.Errorf("recognising %s: %w: %s", t.Address, miner.ErrNotThisFirmware, words(errs))
}

// words puts errors into one line.
func words(errs []error) string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return strings.Join(all, "; ")
}
