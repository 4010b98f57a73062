package antminer

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// rpcTimeout bounds one connection: the RPC is asked only for what a reading can do without, or is all that
// a model of 2019 has.
const rpcTimeout = 3 * time.Second

// rpc reads the RPC of a machine, one request per connection. It is never written to.
type rpc struct {
	address netip.AddrPort
}

func (r rpc) get(ctx context.Context, command string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	request := fmt.Appendf(nil, "{\"command\":%q}\n", command)
	data, err := wire.Exchange(ctx, r.address, command, request, wire.ReadReply)
	if err != nil {
		return err
	}
	if err := wire.Decode(data, out); err != nil {
		return fmt.Errorf("%s: %s: %w", r.address, command, err)
	}
	return nil
}

// program asks a mining process what it is. One that does not answer to "version" heads its "stats" with it, and its
// "summary" has its name at least.
func (r rpc) program(ctx context.Context) (program, error) {
	var v version
	err := r.get(ctx, "version", &v)
	if first := v.program(v.Rows); err == nil && first.Type != "" {
		return first, nil
	}
	if err != nil && !wire.Unreadable(err) {
		return program{}, err
	}
	v = version{}
	err = r.get(ctx, "stats", &v)
	if head := v.program(v.Stats); err == nil && head.Type != "" {
		return head, nil
	}
	if err != nil && !wire.Unreadable(err) {
		return program{}, err
	}
	err = r.get(ctx, "summary", &v)
	return v.program(nil), err
}

// row is the first that tells anything, of "stats" or else of "summary".
func (r rpc) row(ctx context.Context) (row, error) {
	var s stats
	err := r.get(ctx, "stats", &s)
	if err == nil && s.isStats() && s.row().tells() {
		return s.row(), nil
	}
	var brief struct {
		Rows wire.List[row] `json:"SUMMARY"`
	}
	if r.get(ctx, "summary", &brief) == nil && brief.Rows.First().tells() {
		return brief.Rows.First(), nil
	}
	if err == nil && !s.isStats() {
		err = fmt.Errorf("%s: stats: its mining process does not answer", r.address)
	}
	return row{}, err
}

// doors are where a machine's RPC may be: at its port, and at the one where its pages belong, which is all that
// somebody may have mapped who knows only of the RPC.
func doors(t miner.Target) []rpc {
	all := []rpc{{netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.SecondPort, rpcPort)))}}
	if t.Port != 0 && t.Port != Port {
		all = append(all, rpc{at(t)})
	}
	return all
}
