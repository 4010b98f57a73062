// Package miner speaks to mining machines. Driver is the one port; each firmware has a folder of its
// own. A driver reads and writes what the machine really has, says what it can't do, and never decides
// what the machine should do.
package miner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Firmware names a driver, as in MinerPool.spec.devices.firmware.
type Firmware string

// The firmwares that have a driver.
const (
	Auto       Firmware = "Auto"
	BraiinsOS  Firmware = "BraiinsOS"
	LuxOS      Firmware = "LuxOS"
	VNish      Firmware = "VNish"
	WhatsMiner Firmware = "WhatsMiner"
	EPIC       Firmware = "ePIC"
	Auradine   Firmware = "Auradine"
	Avalon     Firmware = "Avalon"
	SealMiner  Firmware = "SealMiner"
	AxeOS      Firmware = "AxeOS"
	Antminer   Firmware = "Antminer"
	MaraFW     Firmware = "MaraFW"
	ProtoRig   Firmware = "ProtoRig"
)

// Target is where a machine is and how to be let in.
type Target struct {
	Address netip.Addr
	// Port overrides the firmware's own; 0 keeps it.
	Port int
	// SecondPort overrides that of a firmware's second API, where it has two; 0 keeps its distance to the first.
	SecondPort int
	Username   string
	Password   string
}

// Driver minds one machine. It is used by one goroutine at a time.
type Driver interface {
	// Identify says what machine answers and learns its capabilities. It never writes.
	Identify(ctx context.Context) (Identity, error)
	// Read takes one reading. It never writes.
	Read(ctx context.Context) (Reading, error)
	// Apply commands one setting. A nil error means the machine said yes, never that it did it. An order that the
	// machine takes longer to answer than ctx lasts goes on, where giving it up would do harm: ErrUnderWay.
	Apply(ctx context.Context, s Setting) error
	// Capabilities are known after Identify, and may change with a later reading: a person may turn
	// automatic tuning on. Asking costs nothing.
	Capabilities() Capabilities
}

// Errors that callers tell apart with errors.Is.
var (
	// ErrBusy: somebody else holds the machine's only session; back off, do not break it.
	ErrBusy = errors.New("session held by another client")
	// ErrUnauthorized: the machine refused the credentials.
	ErrUnauthorized = errors.New("credentials refused")
	// ErrUnsupported: this machine has no such setting.
	ErrUnsupported = errors.New("not supported by this machine")
	// ErrOutOfRange: watts outside the machine's own range; nothing was sent.
	ErrOutOfRange = errors.New("outside the machine's range")
	// ErrNotThisFirmware: something answers, and it is another machine.
	ErrNotThisFirmware = errors.New("another firmware")
	// ErrUnreachable: no connection could be made; nothing was sent.
	ErrUnreachable = errors.New("unreachable")
	// ErrRefused: the machine answered no and did not take the setting.
	ErrRefused = errors.New("refused by the machine")
	// ErrHalfApplied: a setting of several steps stopped in the middle; read before assuming anything.
	ErrHalfApplied = errors.New("applied in part")
	// ErrUnderWay: the machine works on the order and has not answered yet; the driver goes on waiting, and gives no
	// other before. What it does is read.
	ErrUnderWay = errors.New("under way")
	// ErrPerhaps: a probe met what may be its firmware, and only a login tells. A surer claim wins over it.
	ErrPerhaps = errors.New("perhaps this firmware")
)

// Errors that are narrower than one of the above, for whoever tells a person what to mend.
var (
	// ErrLocked is an ErrUnauthorized: the machine takes orders from nobody until a person opens its API.
	ErrLocked error = &narrower{"its API is locked", ErrUnauthorized}
	// ErrToken is an ErrUnauthorized: the login went well, and what it gave is not taken, or no longer.
	ErrToken error = &narrower{"token refused", ErrUnauthorized}
	// ErrVersion is an ErrNotThisFirmware: the firmware in a version that has no driver.
	ErrVersion error = &narrower{"a version that is not supported", ErrNotThisFirmware}
)

// narrower is an error that is a broader one as well, and does not say that one's words.
type narrower struct {
	text    string
	broader error
}

func (e *narrower) Error() string { return e.text }
func (e *narrower) Unwrap() error { return e.broader }

// Busy is an ErrBusy of a machine that says when to come back, or whose maker does.
type Busy struct {
	After time.Duration
}

func (e *Busy) Error() string {
	return fmt.Sprintf("%v, ask again in %s", ErrBusy, e.After.Round(time.Second))
}

// Unwrap makes it an ErrBusy.
func (e *Busy) Unwrap() error { return ErrBusy }

// RetryAfter is when to ask a machine again that is busy; ok is false where nobody says.
func RetryAfter(err error) (after time.Duration, ok bool) {
	if busy, found := errors.AsType[*Busy](err); found {
		return busy.After, true
	}
	return 0, false
}

// NotApplied says whether an error of Apply means that the machine surely did not take the setting.
// After any other error it may have, and a raise must be counted as done (rule L5).
func NotApplied(err error) bool {
	if errors.Is(err, ErrHalfApplied) {
		return false
	}
	for _, sure := range []error{
		ErrBusy, ErrUnauthorized, ErrUnsupported, ErrOutOfRange, ErrNotThisFirmware, ErrUnreachable, ErrRefused,
	} {
		if errors.Is(err, sure) {
			return true
		}
	}
	return false
}

// Identity of a machine. MAC (else Serial) is the machine; the address is only where it was met.
type Identity struct {
	Firmware        Firmware
	FirmwareVersion string
	Model           string
	MAC             string
	Serial          string
}

// State of a machine.
type State string

// The states of a machine.
const (
	Hashing  State = "Hashing"
	Starting State = "Starting"
	Sleeping State = "Sleeping"
	Stopping State = "Stopping"
	Failed   State = "Failed"
	Unknown  State = "Unknown"
)

// Source says where a reading's watts come from.
type Source string

// The sources of watts, best first.
const (
	Meter    Source = "Meter"
	Wall     Source = "Wall"
	PSU      Source = "PSU"
	DC       Source = "DC"
	Estimate Source = "Estimate"
)

// Reading is one look at a machine. A nil pointer is "the machine did not say", never 0.
type Reading struct {
	State       State
	HashrateTHs *float64
	Watts       *int64
	WattsSource Source
	TargetWatts *int64 // as commanded
	Effective   *int64 // the target the firmware follows now, watts; nil while it sleeps
	// Ceiling is the highest target the firmware may move to with no further command (automatic tuning,
	// dynamic scaling), never below Effective; nil while it sleeps. Rule L5 bounds by this, not by Effective.
	Ceiling      *int64
	Mode         string // profile or mode in force, where the firmware has them
	TemperatureC *float64
	Uptime       *time.Duration
	Faults       []string
}

// Kind of a setting.
type Kind string

// The kinds of setting.
const (
	Sleep     Kind = "Sleep"
	HashWatts Kind = "HashWatts"
	HashMode  Kind = "HashMode"
)

// Setting is what a machine is told to do.
type Setting struct {
	Kind  Kind
	Watts int64  // HashWatts
	Mode  string // HashMode; empty is "whatever it ran before it slept"
}

// Timing of an action: order given to watts settled.
type Timing struct {
	Typical time.Duration
	Worst   time.Duration
	// Restarts says that mining stops for a while on the way.
	Restarts bool
}

// Mode is one profile or preset a machine offers.
type Mode struct {
	Name  string
	Watts int64
	THs   float64
}

// Capabilities of one machine, found by asking it.
type Capabilities struct {
	// Sleep and Wake say whether the machine can stop and start mining on command.
	Sleep bool
	// SleepSurvivesReboot: a machine put to sleep stays so through a reboot.
	SleepSurvivesReboot bool
	// Continuous watt targets between MinWatts and MaxWatts in steps of StepWatts.
	Continuous                    bool
	MinWatts, MaxWatts, StepWatts int64
	// Modes are the discrete profiles, ascending by watts; empty where there are none.
	Modes []Mode
	// NameplateWatts is the rated draw of the model, 0 when not known.
	NameplateWatts int64
	// NameplateTHs is the rated hash rate of the model, 0 when not known.
	NameplateTHs float64
	// NominalWatts is about what NameplateTHs takes, where NameplateWatts is the most that the machine may draw
	// rather than that; else 0.
	NominalWatts int64
	// ResidualWatts is what the machine typically draws asleep.
	ResidualWatts int64

	SleepTiming, WakeTiming, TrimTiming Timing
}
