package link

import (
	"fmt"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/lease"
	"github.com/counterweight-dev/counterweight/internal/link/linkpb"
)

// Order is one message of a leader: exactly one of the two is set.
type Order struct {
	Hello *lease.Hello
	Lease *lease.Lease
}

func orderToWire(o Order) *linkpb.Order {
	if o.Hello != nil {
		return &linkpb.Order{Order: &linkpb.Order_Hello{Hello: helloToWire(*o.Hello)}}
	}
	l := o.Lease
	return &linkpb.Order{Order: &linkpb.Order_Lease{Lease: &linkpb.Lease{
		Epoch:           uint64(l.Epoch),
		Run:             uint64(l.Run),
		Seq:             l.Seq,
		Watts:           int64(l.Watts),
		TtlNanos:        int64(l.TTL),
		AsOfNanos:       int64(l.AsOf),
		ShedWithinNanos: int64(l.ShedWithin),
		Shared:          l.Shared,
	}}}
}

func helloToWire(h lease.Hello) *linkpb.Hello {
	a := h.Assignment
	ports := make(map[string]int32, len(a.Ports))
	for firmware, port := range a.Ports {
		ports[firmware] = int32(port)
	}
	return &linkpb.Hello{
		Epoch:      uint64(h.Epoch),
		Run:        uint64(h.Run),
		Generation: h.Generation,
		Assignment: &linkpb.Assignment{
			Ranges:             a.Ranges,
			Firmware:           a.Firmware,
			Ports:              ports,
			Observe:            a.Observe,
			UncertaintyPercent: int32(a.UncertaintyPercent),
			PriorSettings:      a.PriorSettings,
		},
	}
}

// orderFromWire refuses what is out of bounds.
func orderFromWire(m *linkpb.Order) (Order, error) {
	switch o := m.GetOrder().(type) {
	case *linkpb.Order_Hello:
		h, err := helloFromWire(o.Hello)
		return Order{Hello: &h}, err
	case *linkpb.Order_Lease:
		l, err := leaseFromWire(o.Lease)
		return Order{Lease: &l}, err
	default:
		return Order{}, fmt.Errorf("%w: order: neither hello nor lease", ErrBounds)
	}
}

func helloFromWire(m *linkpb.Hello) (lease.Hello, error) {
	var c checker
	c.set("hello.epoch", m.GetEpoch())
	c.set("hello.run", m.GetRun())
	c.set("hello.generation", m.GetGeneration())
	a := m.GetAssignment()
	c.size("hello.assignment.ranges", len(a.GetRanges()), maxRanges)
	for _, r := range a.GetRanges() {
		c.text("hello.assignment.ranges", r, maxName)
	}
	c.text("hello.assignment.firmware", a.GetFirmware(), maxName)
	c.size("hello.assignment.ports", len(a.GetPorts()), maxPorts)
	ports := make(map[string]int, len(a.GetPorts()))
	for firmware, port := range a.GetPorts() {
		c.text("hello.assignment.ports key", firmware, maxName)
		c.between("hello.assignment.ports of "+firmware, int64(port), 1, 65535)
		ports[firmware] = int(port)
	}
	c.between("hello.assignment.uncertainty_percent", int64(a.GetUncertaintyPercent()), 0, maxUncertain)
	c.settings("hello.assignment.prior_settings", a.GetPriorSettings())
	return lease.Hello{
		Epoch:      lease.Epoch(m.GetEpoch()),
		Run:        lease.Run(m.GetRun()),
		Generation: m.GetGeneration(),
		Assignment: lease.Assignment{
			Ranges:             a.GetRanges(),
			Firmware:           a.GetFirmware(),
			Ports:              ports,
			Observe:            a.GetObserve(),
			UncertaintyPercent: int(a.GetUncertaintyPercent()),
			PriorSettings:      a.GetPriorSettings(),
		},
	}, c.err
}

func leaseFromWire(m *linkpb.Lease) (lease.Lease, error) {
	var c checker
	c.set("lease.epoch", m.GetEpoch())
	c.set("lease.run", m.GetRun())
	c.set("lease.seq", m.GetSeq())
	return lease.Lease{
		Epoch:      lease.Epoch(m.GetEpoch()),
		Run:        lease.Run(m.GetRun()),
		Seq:        m.GetSeq(),
		Watts:      c.watts("lease.watts", m.GetWatts()),
		TTL:        c.duration("lease.ttl_nanos", m.GetTtlNanos()),
		AsOf:       c.duration("lease.as_of_nanos", m.GetAsOfNanos()),
		ShedWithin: c.duration("lease.shed_within_nanos", m.GetShedWithinNanos()),
		Shared:     m.GetShared(),
	}, c.err
}

func reportToWire(r lease.Report) *linkpb.Report {
	m := &linkpb.Report{
		Epoch:         uint64(r.Epoch),
		Run:           uint64(r.Run),
		Seq:           r.Seq,
		Generation:    r.Generation,
		AsOfNanos:     int64(r.AsOf),
		LeaseWatts:    int64(r.LeaseWatts),
		BoundWatts:    int64(r.Bound),
		DrawWatts:     int64(r.Draw),
		FloorWatts:    int64(r.Floor),
		RatedWatts:    int64(r.Rated),
		SettleNanos:   int64(r.Settle),
		VolatileWatts: int64(r.Volatile),
		Curve:         make([]*linkpb.Point, 0, len(r.Curve)),
		Counts: &linkpb.Counts{
			Total:       int32(r.Counts.Total),
			Hashing:     int32(r.Counts.Hashing),
			Sleeping:    int32(r.Counts.Sleeping),
			Unreachable: int32(r.Counts.Unreachable),
			Stuck:       int32(r.Counts.Stuck),
		},
		Troubles:      make([]*linkpb.Trouble, 0, len(r.Troubles)),
		PriorSettings: &linkpb.PriorSettings{Settings: validSettings(r.PriorSettings)},
	}
	for _, p := range r.Curve {
		m.Curve = append(m.Curve, &linkpb.Point{Watts: int64(p.Watts), Ths: p.THs})
	}
	for _, t := range r.Troubles {
		m.Troubles = append(m.Troubles, &linkpb.Trouble{
			Address: valid(t.Address), Reason: valid(t.Reason), Message: valid(t.Message),
		})
	}
	return m
}

// valid mends text that came from a machine: one bad byte would end the stream.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func validSettings(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[valid(k)] = valid(v)
	}
	return out
}

// reportFromWire refuses what is out of bounds. Prior settings that are absent are those of before.
func reportFromWire(m *linkpb.Report, before map[string]string) (lease.Report, error) {
	var c checker
	c.set("report.run", m.GetRun())
	r := lease.Report{
		Epoch:         lease.Epoch(m.GetEpoch()),
		Run:           lease.Run(m.GetRun()),
		Seq:           m.GetSeq(),
		Generation:    m.GetGeneration(),
		AsOf:          c.duration("report.as_of_nanos", m.GetAsOfNanos()),
		LeaseWatts:    c.watts("report.lease_watts", m.GetLeaseWatts()),
		Bound:         c.watts("report.bound_watts", m.GetBoundWatts()),
		Draw:          c.watts("report.draw_watts", m.GetDrawWatts()),
		Floor:         c.watts("report.floor_watts", m.GetFloorWatts()),
		Rated:         c.watts("report.rated_watts", m.GetRatedWatts()),
		Settle:        c.duration("report.settle_nanos", m.GetSettleNanos()),
		Volatile:      c.watts("report.volatile_watts", m.GetVolatileWatts()),
		Curve:         c.curve(m.GetCurve()),
		Counts:        c.counts(m.GetCounts()),
		Troubles:      c.troubles(m.GetTroubles()),
		PriorSettings: before,
	}
	if m.GetPriorSettings() != nil {
		r.PriorSettings = m.GetPriorSettings().GetSettings()
		c.settings("report.prior_settings", r.PriorSettings)
	}
	return r, c.err
}

func (c *checker) curve(points []*linkpb.Point) []lease.Point {
	c.size("report.curve", len(points), maxPoints)
	if c.err != nil {
		return nil
	}
	out := make([]lease.Point, 0, len(points))
	for i, p := range points {
		field := fmt.Sprintf("report.curve[%d]", i)
		point := lease.Point{Watts: c.watts(field+".watts", p.GetWatts()), THs: c.ths(field+".ths", p.GetThs())}
		if i > 0 && (point.Watts < out[i-1].Watts || point.THs < out[i-1].THs) {
			c.fail(field, "falls below the point before it")
		}
		out = append(out, point)
	}
	return out
}

func (c *checker) counts(m *linkpb.Counts) lease.Counts {
	for field, v := range map[string]int32{
		"total": m.GetTotal(), "hashing": m.GetHashing(), "sleeping": m.GetSleeping(),
		"unreachable": m.GetUnreachable(), "stuck": m.GetStuck(),
	} {
		c.between("report.counts."+field, int64(v), 0, maxDevices)
	}
	return lease.Counts{
		Total:       int(m.GetTotal()),
		Hashing:     int(m.GetHashing()),
		Sleeping:    int(m.GetSleeping()),
		Unreachable: int(m.GetUnreachable()),
		Stuck:       int(m.GetStuck()),
	}
}

func (c *checker) troubles(list []*linkpb.Trouble) []lease.Trouble {
	c.size("report.troubles", len(list), maxTroubles)
	if c.err != nil {
		return nil
	}
	out := make([]lease.Trouble, 0, len(list))
	for i, t := range list {
		field := fmt.Sprintf("report.troubles[%d]", i)
		out = append(out, lease.Trouble{
			Address: c.text(field+".address", t.GetAddress(), maxName),
			Reason:  c.text(field+".reason", t.GetReason(), maxName),
			Message: c.text(field+".message", t.GetMessage(), maxText),
		})
	}
	return out
}
