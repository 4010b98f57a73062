package minerctl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
)

// Problem is why something did not happen, in one line: where, what, and what mends it.
type Problem struct {
	Address   netip.Addr
	What, Fix string
	// Err is what the driver said; what it says is in What, as far as it helps.
	Err error
}

func (p *Problem) Error() string {
	text := p.Address.String() + ": " + p.What
	if p.Fix != "" {
		text += "; " + p.Fix
	}
	return clean(text)
}

func (p *Problem) Unwrap() error { return p.Err }

// cause is a kind of error in a person's words: %[1]s is the firmware, %[2]s what the driver said.
type cause struct {
	is        error
	what, fix string
}

// causes, the narrower ones first.
var causes = []cause{
	{context.Canceled, "interrupted", ""},
	{miner.ErrHalfApplied, "applied in part (%[2]s)", "probe it, and command it again"},
	{miner.ErrLocked, "%[1]s takes no orders, for its API is locked (%[2]s)", "open its API on the machine or with its maker's tool"},
	{miner.ErrToken, "%[1]s let us in, and refuses or has let expire the token it gave (%[2]s)", "try again; if it stays so, restart the machine"},
	{miner.ErrVersion, "%[1]s is of a version that is not supported (%[2]s)", "update its firmware"},
	{miner.ErrBusy, "it is busy with another client (%[2]s)", "try again in a minute; that client may be an operator's agent"},
	{miner.ErrOutOfRange, "%[2]s", "give watts within the range"},
	{miner.ErrUnsupported, "%[2]s", "probe it to see what it can do"},
	{miner.ErrRefused, "%[1]s refuses (%[2]s)", "probe it to see its state"},
	{miner.ErrNotThisFirmware, "what answers is not %[1]s as it is known here (%[2]s)", "update its firmware, or give another --firmware"},
	{miner.ErrUnreachable, "nothing answers as %[1]s (%[2]s)", "is it on, in this network, and --port right?"},
	{context.DeadlineExceeded, "%[1]s answers too slowly or not to the end (%[2]s)", "try again; probe it alone"},
}

// explain puts what a driver says into a person's words.
func (t *Tool) explain(addr netip.Addr, f miner.Firmware, err error) *Problem {
	p := &Problem{Address: addr, Err: err, What: detail(addr, err), Fix: "probe it again"}
	if errors.Is(err, miner.ErrUnauthorized) && !errors.Is(err, miner.ErrLocked) && !errors.Is(err, miner.ErrToken) {
		p.What, p.Fix = t.unauthorized(f, before(p.What, miner.ErrUnauthorized))
		return p
	}
	for _, c := range causes {
		if errors.Is(err, c.is) {
			p.What, p.Fix = strings.ReplaceAll(strings.ReplaceAll(c.what, "%[1]s", string(f)), "%[2]s", p.What), c.fix
			if after, ok := miner.RetryAfter(err); ok {
				p.Fix = strings.Replace(p.Fix, "in a minute", "in "+after.Round(time.Second).String(), 1)
			}
			return p
		}
	}
	return p
}

// unauthorized says whose password was refused, and which key to mend.
func (t *Tool) unauthorized(f miner.Firmware, what string) (problem, fix string) {
	if l := t.Logins.of(f); l.password == "" {
		return fmt.Sprintf("wrong password: %s refuses its default login (%s)", f, what),
			fmt.Sprintf("give the machine's own by --credentials FILE with %s.password", f)
	}
	return fmt.Sprintf("wrong password: %s refuses the login of --credentials (%s)", f, what),
		fmt.Sprintf("mend %[1]s.password there, and %[1]s.username where it has users", f)
}

// before is what a driver said ahead of an error's own words: what follows is meant for a pool.
func before(text string, err error) string {
	head, _, _ := strings.Cut(text, err.Error())
	return strings.TrimRight(head, ": ")
}

// detail is what an error says beside the address, which every line of ours begins with.
func detail(addr netip.Addr, err error) string {
	text := clean(err.Error())
	for _, head := range []string{"identifying ", "recognising "} {
		if rest, ok := strings.CutPrefix(text, head); ok {
			_, text, _ = strings.Cut(rest, ": ")
		}
	}
	return strings.ReplaceAll(withoutAddress(text, addr), `"`, "'")
}

// withoutAddress takes "ADDRESS:PORT: " out of a text wherever it stands.
func withoutAddress(text string, addr netip.Addr) string {
	parts := strings.Split(text, ": ")
	parts = slices.DeleteFunc(parts, func(part string) bool {
		at, err := netip.ParseAddrPort(part)
		return err == nil && at.Addr() == addr
	})
	return strings.Join(parts, ": ")
}

// unclaimed says that no firmware known here answers: nothing does, or something else.
func (t *Tool) unclaimed(addr netip.Addr, answers []firmwares.Answer, ports map[miner.Firmware][]int) *Problem {
	p := &Problem{Address: addr, Err: miner.ErrUnreachable}
	var tried []string
	var knocked []int
	for _, a := range answers {
		word := "no connection"
		if !errors.Is(a.Err, miner.ErrUnreachable) {
			p.Err = miner.ErrNotThisFirmware
			word = strings.TrimPrefix(detail(addr, a.Err), miner.ErrNotThisFirmware.Error()+": ")
		}
		tried = append(tried, fmt.Sprintf("%s at %s (%s)", a.Firmware, list(ports[a.Firmware]), word))
		knocked = append(knocked, ports[a.Firmware]...)
	}
	if errors.Is(p.Err, miner.ErrUnreachable) {
		slices.Sort(knocked)
		p.What = "nothing answers at port " + list(slices.Compact(knocked))
		p.Fix = "is it on, in this network, and its port mapped by --port if it is another?"
		return p
	}
	p.What = "something answers, and it is no firmware known here: tried " + strings.Join(tried, ", ")
	p.Fix = "name it by --firmware if you know better"
	return p
}

func list(ports []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ports), " ", ", "), "[]")
}

// contested says that several firmwares claim one address.
func contested(addr netip.Addr, claims []miner.Firmware) *Problem {
	return &Problem{
		Address: addr, Err: errContested,
		What: "claimed by " + join(claims) + " at once",
		Fix:  "nothing more was sent; name the right one by --firmware, and tell us",
	}
}

// errContested: which firmware an address has can't be told.
var errContested = errors.New("more than one firmware")

func join(all []miner.Firmware) string {
	var names []string
	for _, f := range all {
		names = append(names, string(f))
	}
	return strings.Join(names, " and ")
}
