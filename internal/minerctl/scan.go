package minerctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Scan looks for machines. It never writes.
type Scan struct {
	*Tool
	// Connections is how many may be open at once.
	Connections int
	// Patience is how long a connection may take to come about; most addresses cost just this.
	Patience time.Duration
	// Found is called with each row as it is known, Done after each address; neither at once with itself or the other.
	Found func(Row)
	Done  func()
}

const (
	// LeastConnections lets one address be asked for every firmware at once.
	LeastConnections = 32
	// MostConnections is what one process may reasonably have open.
	MostConnections = 16384
	// spare is what an address may need beside one connection for each firmware it is asked for: one that closes
	// while the next opens.
	spare = 1
)

// Row is one address where something answers.
type Row struct {
	Address string `json:"address"`
	*Document
	// ClaimedBy are the firmwares that claim it, where they are several.
	ClaimedBy []string `json:"claimedBy,omitempty"`
	// Error is why there is no reading.
	Error string `json:"error,omitempty"`

	addr netip.Addr
}

// Run looks at every address. It ends early with ctx, or where this computer has no sockets left.
func (s *Scan) Run(ctx context.Context, addrs []netip.Addr) error {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	run := &scanRun{
		Scan: s, ports: firmwares.Ports(ctx, s.Ports),
		free: semaphore.NewWeighted(int64(s.Connections)), abort: abort,
	}
	run.doors = doorsOf(run.ports, s.Firmware)
	var all sync.WaitGroup
	for _, addr := range addrs {
		n := int64(min(len(run.doors), s.Connections))
		if run.free.Acquire(ctx, n) != nil {
			break
		}
		all.Go(func() {
			open := run.knock(ctx, addr)
			run.free.Release(n)
			run.visit(ctx, addr, open)
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// doorsOf are the ports to knock at, each once.
func doorsOf(ports map[miner.Firmware][]int, only miner.Firmware) []int {
	var doors []int
	for f, its := range ports {
		if only == miner.Auto || only == f {
			doors = append(doors, its...)
		}
	}
	slices.Sort(doors)
	return slices.Compact(doors)
}

// scanRun is one scan under way.
type scanRun struct {
	*Scan
	ports map[miner.Firmware][]int
	doors []int
	free  *semaphore.Weighted
	abort context.CancelCauseFunc
	mu    sync.Mutex
}

// knock says at which ports something listens. Nothing is sent.
func (s *scanRun) knock(ctx context.Context, addr netip.Addr) []int {
	answers := make([]bool, len(s.doors))
	var all sync.WaitGroup
	for i, port := range s.doors {
		all.Go(func() {
			dialer := net.Dialer{Timeout: s.Patience, KeepAlive: -1}
			conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(addr, uint16(port)).String())
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				s.abort(fmt.Errorf("--connections: no sockets left on this computer: %w; lower it, or raise ulimit -n", err))
			}
			if err == nil {
				_ = conn.Close()
				answers[i] = true
			}
		})
	}
	all.Wait()
	var open []int
	for i, port := range s.doors {
		if answers[i] {
			open = append(open, port)
		}
	}
	return open
}

// visit asks who is behind open doors, and closes every connection that was opened for it.
func (s *scanRun) visit(ctx context.Context, addr netip.Addr, open []int) {
	var row *Row
	if among := s.behind(open); len(among) > 0 {
		n := min(int64(len(among)+spare), int64(s.Connections))
		if s.free.Acquire(ctx, n) != nil {
			return
		}
		conns := &group{patience: s.Patience}
		row = s.row(wire.WithDialer(ctx, conns.dial), addr, among, open)
		conns.close()
		s.free.Release(n)
	}
	if ctx.Err() != nil && (row == nil || row.Document == nil) {
		return // what an ended scan did not get to know is nothing to tell
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if row != nil {
		s.Found(*row)
	}
	s.Done()
}

// behind are the firmwares that are looked for at these ports.
func (s *scanRun) behind(open []int) []miner.Firmware {
	var among []miner.Firmware
	for f, its := range s.ports {
		wanted := s.Firmware == miner.Auto || s.Firmware == f
		if wanted && slices.ContainsFunc(its, func(port int) bool { return slices.Contains(open, port) }) {
			among = append(among, f)
		}
	}
	return among
}

// row is what is known of an address where something answers.
func (s *scanRun) row(ctx context.Context, addr netip.Addr, among []miner.Firmware, open []int) *Row {
	row := &Row{Address: addr.String(), addr: addr}
	claims := firmwares.Claims(s.ask(ctx, miner.Target{Address: addr}, s.Tool.Ports, among))
	switch len(claims) {
	case 0:
		slices.Sort(among)
		row.Error = fmt.Sprintf("port %s is open, and no firmware known here answers: tried %s", list(open), join(among))
		return row
	case 1:
	default:
		p := contested(addr, claims)
		row.Error = clean(p.What + "; " + p.Fix)
		for _, f := range claims {
			row.ClaimedBy = append(row.ClaimedBy, string(f))
		}
		return row
	}
	row.Document = &Document{Address: row.Address, Firmware: string(claims[0])}
	if err := s.fill(ctx, addr, claims[0], row.Document); err != nil {
		row.Error = strings.TrimPrefix(err.Error(), addr.String()+": ")
	}
	return row
}

// fill reads a machine once.
func (s *scanRun) fill(ctx context.Context, addr netip.Addr, f miner.Firmware, d *Document) error {
	driver, id, err := s.enter(ctx, addr, f)
	if err != nil {
		return err
	}
	*d = identified(addr, id)
	r, err := look(ctx, driver)
	if err != nil {
		return s.explain(addr, f, err)
	}
	d.read(r, driver.Capabilities())
	return nil
}

// group are the connections to one address: drivers keep some, and a scan has no use for them.
type group struct {
	patience time.Duration
	mu       sync.Mutex
	conns    []net.Conn
	closed   bool
}

func (g *group) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: g.patience, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	g.conns = append(g.conns, conn)
	return conn, nil
}

func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.conns {
		_ = c.Close()
	}
}

// PrintRows writes rows by address as a table.
func PrintRows(w io.Writer, rows []Row) error {
	slices.SortFunc(rows, func(a, b Row) int { return a.addr.Compare(b.addr) })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tFIRMWARE\tVERSION\tMODEL\tMAC\tSTATE\tTH/S\tWATTS\tSOURCE\tTARGET\tNOTE")
	for _, r := range rows {
		d := Document{}
		if r.Document != nil {
			d = *r.Document
		}
		note := strings.Join(append(slices.Clone(d.Faults), r.Error), "; ")
		cells := []string{
			r.Address, d.Firmware, d.FirmwareVersion, d.Model, cmp.Or(d.MAC, d.Serial), d.State,
			short(d.HashrateTHs), whole64(d.Watts), d.WattsSource, whole64(d.EffectiveTargetWatts),
			strings.TrimSuffix(note, "; "),
		}
		for i, cell := range cells {
			cells[i] = cmp.Or(clean(cell), "-")
		}
		fmt.Fprintln(t, strings.TrimSuffix(strings.Join(cells, "\t"), "\t-"))
	}
	return t.Flush()
}

// short is a hash rate as a table has room for, with a digit more where it is low.
func short(f *float64) string {
	if f == nil {
		return ""
	}
	digits := 1
	if *f < 10 {
		digits = 2
	}
	return strconv.FormatFloat(*f, 'f', digits, 64)
}

func whole64(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}
