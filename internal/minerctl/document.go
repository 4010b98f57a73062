package minerctl

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// Document is what a driver reads of one machine. What the machine did not say is absent, never 0.
type Document struct {
	Address         string `json:"address"`
	Firmware        string `json:"firmware,omitempty"`
	FirmwareVersion string `json:"firmwareVersion,omitempty"`
	Model           string `json:"model,omitempty"`
	MAC             string `json:"mac,omitempty"`
	Serial          string `json:"serial,omitempty"`

	State       string   `json:"state,omitempty"`
	HashrateTHs *float64 `json:"hashrateTHs,omitempty"`
	Watts       *int64   `json:"watts,omitempty"`
	WattsSource string   `json:"wattsSource,omitempty"`
	// TargetWatts is what was commanded, EffectiveTargetWatts what the machine follows now, and CeilingWatts the
	// most it may go to with no further command.
	TargetWatts          *int64   `json:"targetWatts,omitempty"`
	EffectiveTargetWatts *int64   `json:"effectiveTargetWatts,omitempty"`
	CeilingWatts         *int64   `json:"ceilingWatts,omitempty"`
	Mode                 string   `json:"mode,omitempty"`
	TemperatureC         *float64 `json:"temperatureC,omitempty"`
	UptimeSeconds        *int64   `json:"uptimeSeconds,omitempty"`
	// Faults is absent where nothing was read.
	Faults       []string      `json:"faults,omitzero"`
	Capabilities *Capabilities `json:"capabilities,omitempty"`
}

// Capabilities are what a machine can be told to do.
type Capabilities struct {
	Sleep               bool    `json:"sleep"`
	SleepSurvivesReboot bool    `json:"sleepSurvivesReboot"`
	Continuous          bool    `json:"continuous"`
	MinWatts            int64   `json:"minWatts,omitempty"`
	MaxWatts            int64   `json:"maxWatts,omitempty"`
	StepWatts           int64   `json:"stepWatts,omitempty"`
	Modes               []Mode  `json:"modes,omitempty"`
	NameplateWatts      int64   `json:"nameplateWatts,omitempty"`
	NameplateTHs        float64 `json:"nameplateTHs,omitempty"`
	// NominalWatts are what nameplateTHs take, where nameplateWatts is the most that the machine may draw.
	NominalWatts  int64   `json:"nominalWatts,omitempty"`
	ResidualWatts int64   `json:"residualWatts,omitempty"`
	SleepTiming   *Timing `json:"sleepTiming,omitempty"`
	WakeTiming    *Timing `json:"wakeTiming,omitempty"`
	TrimTiming    *Timing `json:"trimTiming,omitempty"`
}

// Mode is one profile or preset.
type Mode struct {
	Name  string  `json:"name"`
	Watts int64   `json:"watts"`
	THs   float64 `json:"hashrateTHs,omitempty"`
}

// Timing is how long an order takes until its watts have settled.
type Timing struct {
	TypicalSeconds float64 `json:"typicalSeconds"`
	WorstSeconds   float64 `json:"worstSeconds"`
	Restarts       bool    `json:"restarts"`
}

// identified is a document of who a machine is.
func identified(addr netip.Addr, id miner.Identity) Document {
	return Document{
		Address: addr.String(), Firmware: string(id.Firmware), FirmwareVersion: id.FirmwareVersion,
		Model: id.Model, MAC: id.MAC, Serial: id.Serial,
	}
}

// read adds a reading and what the machine can do.
func (d *Document) read(r miner.Reading, c miner.Capabilities) {
	d.State, d.HashrateTHs = string(r.State), rounded(r.HashrateTHs)
	d.Watts, d.WattsSource = r.Watts, string(r.WattsSource)
	if r.Watts == nil {
		d.WattsSource = ""
	}
	d.TargetWatts, d.EffectiveTargetWatts, d.CeilingWatts = r.TargetWatts, r.Effective, r.Ceiling
	d.Mode, d.TemperatureC = r.Mode, rounded(r.TemperatureC)
	if r.Uptime != nil {
		seconds := int64(*r.Uptime / time.Second)
		d.UptimeSeconds = &seconds
	}
	d.Faults = append([]string{}, r.Faults...)
	d.Capabilities = capabilitiesOf(c)
}

func capabilitiesOf(c miner.Capabilities) *Capabilities {
	out := &Capabilities{
		Sleep: c.Sleep, SleepSurvivesReboot: c.SleepSurvivesReboot, Continuous: c.Continuous,
		NameplateWatts: c.NameplateWatts, NameplateTHs: *rounded(&c.NameplateTHs), NominalWatts: c.NominalWatts, ResidualWatts: c.ResidualWatts,
		SleepTiming: timingOf(c.SleepTiming), WakeTiming: timingOf(c.WakeTiming), TrimTiming: timingOf(c.TrimTiming),
	}
	if c.Continuous {
		out.MinWatts, out.MaxWatts, out.StepWatts = c.MinWatts, c.MaxWatts, c.StepWatts
	}
	for _, m := range c.Modes {
		out.Modes = append(out.Modes, Mode{m.Name, m.Watts, *rounded(&m.THs)})
	}
	return out
}

func timingOf(t miner.Timing) *Timing {
	if t == (miner.Timing{}) {
		return nil
	}
	return &Timing{t.Typical.Seconds(), t.Worst.Seconds(), t.Restarts}
}

// rounded takes away what changing units has added: a millionth of a TH/s is less than any machine reads.
func rounded(f *float64) *float64 {
	if f == nil {
		return nil
	}
	const millionth = 1e6
	r := math.Round(*f*millionth) / millionth
	return &r
}

// Print writes the document for a person.
func (d Document) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, clean(value))
		}
	}
	line("Address", d.Address)
	line("Firmware", strings.TrimSpace(d.Firmware+" "+d.FirmwareVersion))
	line("Model", d.Model)
	line("MAC", d.MAC)
	line("Serial", d.Serial)
	line("State", d.State)
	line("Hash rate", unit(d.HashrateTHs, "TH/s"))
	line("Watts", strings.TrimSpace(unit(d.Watts, "W")+" "+sourceWords[miner.Source(d.WattsSource)]))
	line("Target", unit(d.TargetWatts, "W commanded"))
	line("Effective target", unit(d.EffectiveTargetWatts, "W followed now"))
	line("Ceiling", unit(d.CeilingWatts, "W at most with no further command"))
	line("Mode", d.Mode)
	line("Temperature", unit(d.TemperatureC, "°C"))
	if d.UptimeSeconds != nil {
		line("Uptime", (time.Duration(*d.UptimeSeconds) * time.Second).String())
	}
	for _, fault := range d.Faults {
		line("Fault", fault)
	}
	if d.Capabilities != nil {
		d.Capabilities.lines(line)
	}
	return t.Flush()
}

// sourceWords say where watts come from.
var sourceWords = map[miner.Source]string{
	miner.Meter: "by a meter", miner.Wall: "measured at the wall", miner.PSU: "measured by its supply",
	miner.DC: "measured behind its supply", miner.Estimate: "by the firmware's own estimate",
}

func (c Capabilities) lines(line func(name, value string)) {
	sleep := "no"
	if c.Sleep {
		sleep = "yes, lost at a reboot"
		if c.SleepSurvivesReboot {
			sleep = "yes, also through a reboot"
		}
	}
	line("Sleeps", sleep)
	if c.Continuous {
		line("Watt targets", fmt.Sprintf("%d to %d W in steps of %d W", c.MinWatts, c.MaxWatts, c.StepWatts))
	}
	for _, m := range c.Modes {
		line("Offers mode", fmt.Sprintf("%s: %d W %s", m.Name, m.Watts, known(m.THs, "TH/s")))
	}
	if c.NominalWatts > 0 {
		line("Draws at most", known(float64(c.NameplateWatts), "W"))
	}
	rated := cmp.Or(c.NominalWatts, c.NameplateWatts)
	line("Nameplate", strings.TrimSpace(known(float64(rated), "W")+" "+known(c.NameplateTHs, "TH/s")))
	line("Asleep it draws", known(float64(c.ResidualWatts), "W"))
	for _, t := range []struct {
		name string
		*Timing
	}{{"Sleep takes", c.SleepTiming}, {"Wake takes", c.WakeTiming}, {"New watts take", c.TrimTiming}} {
		if t.Timing != nil {
			line(t.name, t.words())
		}
	}
}

func (t Timing) words() string {
	text := fmt.Sprintf("%g s, %g s at worst", t.TypicalSeconds, t.WorstSeconds)
	if t.Restarts {
		text += ", mining restarts"
	}
	return text
}

// unit is a number with its unit; empty where it is not known.
func unit[N int64 | float64](n *N, of string) string {
	if n == nil {
		return ""
	}
	return plain(float64(*n)) + " " + of
}

// known is a number that is not known where it is 0.
func known(n float64, of string) string {
	if n == 0 {
		return ""
	}
	return plain(n) + " " + of
}

// plain is a number with three decimals at most.
func plain(n float64) string {
	const thousandth = 1e3
	return strconv.FormatFloat(math.Round(n*thousandth)/thousandth, 'f', -1, 64)
}

// clean makes text that a machine or a file gave fit for a terminal, on one line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
}
