package minerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

// Set gives one order to one machine, and sees whether it happens.
type Set struct {
	*Tool
	// Longest is how long to wait; 0 is the driver's own worst time.
	Longest time.Duration
	// Progress is where a line for each look goes.
	Progress io.Writer
}

// Result is what came of an order.
type Result struct {
	Address         string `json:"address"`
	Firmware        string `json:"firmware"`
	FirmwareVersion string `json:"firmwareVersion,omitempty"`
	Model           string `json:"model,omitempty"`
	MAC             string `json:"mac,omitempty"`
	Serial          string `json:"serial,omitempty"`

	// Happened is said of what was read, never of what the machine answered.
	Happened  bool      `json:"happened"`
	Commanded Commanded `json:"commanded"`
	// Effective is what the machine follows at the end.
	Effective Effective `json:"effective"`
	Measured  Measured  `json:"measured"`
	Before    Measured  `json:"before"`
	// JudgedBy says what Happened was seen by, Why what is missing.
	JudgedBy      string   `json:"judgedBy,omitempty"`
	Why           string   `json:"why,omitempty"`
	WaitedSeconds int64    `json:"waitedSeconds"`
	Notes         []string `json:"notes"`
}

// Commanded is the order as it was sent.
type Commanded struct {
	Setting string `json:"setting"` // sleep, wake, watts or mode
	Watts   *int64 `json:"watts,omitempty"`
	Mode    string `json:"mode,omitempty"`
	words   string
}

// Effective is what a machine follows.
type Effective struct {
	Watts *int64 `json:"watts,omitempty"`
	Mode  string `json:"mode,omitempty"`
}

// Measured is what was read of a machine.
type Measured struct {
	State       string   `json:"state,omitempty"`
	Watts       *int64   `json:"watts,omitempty"`
	WattsSource string   `json:"wattsSource,omitempty"`
	HashrateTHs *float64 `json:"hashrateTHs,omitempty"`
}

func measured(r miner.Reading) Measured {
	m := Measured{State: string(r.State), Watts: r.Watts, HashrateTHs: rounded(r.HashrateTHs)}
	if r.Watts != nil {
		m.WattsSource = string(r.WattsSource)
	}
	return m
}

// operatorNote is always said: whether an agent minds the machine can't be seen from here.
const operatorNote = "if a MinerPool with control: Manage holds this address, its agent may command the machine back " +
	"within seconds; set that pool to control: Observe, or take the address out of it, for this to last"

// Run gives the order. There is a result once something may have been sent; an error says that it did not happen.
func (s *Set) Run(ctx context.Context, addr netip.Addr, o Order) (*Result, error) {
	f, err := s.recognise(ctx, addr)
	if err != nil {
		return nil, err
	}
	if firmwares.WantsLogin(f) && s.Logins.of(f).password == "" {
		fix := fmt.Sprintf("nothing was sent; give a file with %s.password", f)
		if s.Logins.of(f).username != "" { // one of its own keeps the common password out
			fix += fmt.Sprintf(" beside %s.username: the common password is not for it then", f)
		}
		return nil, &Problem{
			Address: addr, Err: miner.ErrUnauthorized, Fix: fix,
			What: fmt.Sprintf("--credentials: %s takes orders only from who knows its password, and there is none for it", f),
		}
	}
	driver, id, err := s.enter(ctx, addr, f)
	if err != nil {
		return nil, err
	}
	before, err := look(ctx, driver)
	if err != nil {
		return nil, s.explain(addr, f, err)
	}
	p, problem := planOf(o, driver.Capabilities(), before)
	if problem != "" {
		return nil, &Problem{Address: addr, What: problem, Err: miner.ErrUnsupported}
	}
	if s.Longest > 0 {
		p.longest = s.Longest
	}
	j := &judge{plan: p, before: before, can: driver.Capabilities(), identity: id}
	return s.send(ctx, addr, driver, j)
}

// send gives the order, waits and judges.
func (s *Set) send(ctx context.Context, addr netip.Addr, driver miner.Driver, j *judge) (*Result, error) {
	w := &wait{Set: s, judge: j, driver: driver, addr: addr, began: s.Clock.Now(), last: j.before}
	fmt.Fprintf(s.Progress, "%s: %s; commanding %s, waiting %s at most\n",
		addr, clean(standing(j.before)), clean(j.words()), j.longest)
	applying, cancel := context.WithTimeout(ctx, applyWithin)
	err := driver.Apply(applying, j.setting)
	cancel()
	if miner.NotApplied(err) {
		p := s.explain(addr, j.identity.Firmware, err)
		p.What += "; nothing was changed"
		return nil, p
	}
	r := s.result(addr, j)
	if err != nil {
		unclear := "the machine gave no clear yes (" + detail(addr, err) + "): judged by what it does"
		if errors.Is(err, miner.ErrUnderWay) {
			unclear = "the machine has the order and has not answered yet: judged by what it does"
		}
		r.Notes = append(r.Notes, clean(unclear))
		fmt.Fprintln(s.Progress, "  "+clean(unclear))
	}
	w.run(ctx)
	w.into(r)
	if r.Happened {
		return r, nil
	}
	fix := "probe it to see what it does now"
	if w.last.State == miner.Starting {
		fix = "it is still starting, which takes some firmwares half an hour: probe it later, or give --wait 30m"
	}
	return r, &Problem{
		Address: addr, Err: ctx.Err(), Fix: fix,
		What: fmt.Sprintf("commanded %s, and it did not happen within %d s: %s", j.words(), r.WaitedSeconds, r.Why),
	}
}

func (s *Set) result(addr netip.Addr, j *judge) *Result {
	id := j.identity
	r := &Result{
		Address: addr.String(), Firmware: string(id.Firmware), FirmwareVersion: id.FirmwareVersion, Model: id.Model,
		MAC: id.MAC, Serial: id.Serial, Before: measured(j.before), Notes: []string{operatorNote},
		Commanded: Commanded{Setting: "watts", Watts: j.watts, Mode: j.mode, words: j.words()},
	}
	switch {
	case j.order.Sleep:
		r.Commanded.Setting = "sleep"
	case j.order.Wake:
		r.Commanded.Setting = "wake"
	case j.mode != "":
		r.Commanded.Setting = "mode"
	}
	return r
}

// wait looks at a machine until an order shows, or its time is over.
type wait struct {
	*Set
	*judge
	driver miner.Driver
	addr   netip.Addr
	began  time.Time

	last miner.Reading
	seen bool
	// good are the readings since it looks as commanded; since is when that began.
	good  []miner.Reading
	since time.Time
	// why it does not; and reached is set once it did.
	why     string
	reached bool
	undone  bool
	settled bool
	// silent: the last look failed; stopped: a person had enough.
	silent, stopped bool
}

func (w *wait) run(ctx context.Context) {
	for {
		elapsed := w.Clock.Now().Sub(w.began)
		w.look(ctx, elapsed)
		if w.settled || elapsed >= w.longest {
			return
		}
		select {
		case <-ctx.Done():
			w.why, w.stopped = "interrupted before it could be seen", true
			return
		case <-w.Clock.After(min(w.step, w.longest-elapsed)):
		}
	}
}

// look takes one reading and says how it stands.
func (w *wait) look(ctx context.Context, elapsed time.Duration) {
	r, err := look(ctx, w.driver)
	if err != nil {
		w.silent, w.good, w.why = true, nil, "it does not answer ("+detail(w.addr, err)+")"
		w.tell(elapsed, w.why)
		return
	}
	w.last, w.seen, w.silent = r, true, false
	if w.why = w.missing(r); w.why != "" {
		w.undone = w.undone || w.reached
		w.good = nil
		w.tell(elapsed, standing(r)+": "+w.why)
		return
	}
	if len(w.good) == 0 {
		w.since = w.Clock.Now()
	}
	w.good = append(w.good, r)
	steady := w.steady()
	w.settled = steady && w.Clock.Now().Sub(w.since) >= w.window
	w.reached = w.reached || len(w.good) > 1
	w.tell(elapsed, standing(r)+": as commanded")
}

func (w *wait) tell(elapsed time.Duration, what string) {
	fmt.Fprintf(w.Progress, "  %3d s  %s\n", int64(elapsed/time.Second), clean(what))
}

// steady says that watts no longer move, and forgets what was before where they do: a ramp goes through what was
// commanded on its way elsewhere.
func (w *wait) steady() bool {
	if w.order.Sleep {
		return true
	}
	least, most := int64(math.MaxInt64), int64(0)
	for _, r := range w.good {
		if r.Watts != nil {
			least, most = min(least, *r.Watts), max(most, *r.Watts)
		}
	}
	if float64(most-least) <= tellable*float64(most) {
		return true
	}
	w.good, w.since = w.good[len(w.good)-1:], w.Clock.Now()
	return false
}

// into says in the result what came of it.
func (w *wait) into(r *Result) {
	r.WaitedSeconds = int64(w.Clock.Now().Sub(w.began) / time.Second)
	r.Happened = w.happened()
	if !r.Happened && !w.stopped && !w.silent && w.late(w.last) {
		r.Happened = true
		r.Notes = append(r.Notes, fmt.Sprintf("its watts say so, and it is still %s by its own word", w.last.State))
	}
	if w.seen {
		r.Measured = measured(w.last)
		r.Effective = Effective{Watts: w.last.Effective, Mode: w.last.Mode}
		r.JudgedBy = w.by(w.last)
	}
	if r.Happened {
		return
	}
	r.Why = clean(w.why)
	if w.undone {
		r.Notes = append(r.Notes, "it was as commanded for a while, and then something changed it back: an operator's agent, or a person")
	}
}

// happened says that it is as commanded at the end, even where there was no time to see it stay so.
func (w *wait) happened() bool {
	if w.why == "" && !w.settled && w.watts != nil && len(w.good) < 2 {
		w.why = "its watts still move"
	}
	return w.settled || w.why == "" && w.seen
}

// standing is a reading in a few words.
func standing(r miner.Reading) string {
	text := string(r.State)
	if w := unit(r.Watts, "W"); w != "" {
		text += ", " + w
	}
	if h := unit(r.HashrateTHs, "TH/s"); h != "" {
		text += ", " + h
	}
	return text
}

// Print writes the result for a person.
func (r *Result) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, clean(value))
		}
	}
	happened := "yes"
	if !r.Happened {
		happened = "no: " + r.Why
	}
	line("Machine", strings.Join([]string{r.Address, r.Firmware, r.FirmwareVersion, r.Model, r.MAC}, " "))
	line("Happened", fmt.Sprintf("%s (after %d s)", happened, r.WaitedSeconds))
	line("Commanded", r.Commanded.words)
	effective := unit(r.Effective.Watts, "W")
	if r.Effective.Mode != "" {
		effective = strings.TrimPrefix(effective+", mode "+r.Effective.Mode, ", ")
	}
	line("Effective", effective)
	line("Measured", r.Measured.words())
	line("Before", r.Before.words())
	line("Judged by", r.JudgedBy)
	for _, note := range r.Notes {
		line("Note", note)
	}
	return t.Flush()
}

func (m Measured) words() string {
	words := m.State
	if m.Watts != nil {
		words += ", " + unit(m.Watts, "W") + " " + sourceWords[miner.Source(m.WattsSource)]
	} else if m.State != "" {
		words += ", watts unknown"
	}
	if m.HashrateTHs != nil {
		words += ", " + unit(m.HashrateTHs, "TH/s")
	}
	return words
}
