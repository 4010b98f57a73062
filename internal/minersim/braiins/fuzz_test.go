package braiins

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// FuzzFields: what is a message by the library is one here, with the last value of each field, and nothing else is.
func FuzzFields(f *testing.F) {
	for _, seed := range []message{
		{}, message{}.whole(1, 3).inner(2, message{}.whole(1, 2800)), message{}.text(1, "root").text(2, "root"),
		message{}.real(1, 1e9).flag(2, true).text(1, "x"), {0x08}, {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0x0b, 0x0b, 0x0c, 0x0c}, {0xff, 0xff},
		bytes.Repeat([]byte{0x0b}, 64),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, good := parseFields(in)
		want := fields{map[protowire.Number]uint64{}, map[protowire.Number][]byte{}}
		whole := true
		for rest := in; whole && len(rest) > 0; {
			field, kind, n := protowire.ConsumeField(rest)
			if whole = n >= 0; !whole {
				break
			}
			_, _, head := protowire.ConsumeTag(rest)
			switch kind {
			case protowire.VarintType:
				want.whole[field], _ = protowire.ConsumeVarint(rest[head:])
			case protowire.BytesType:
				want.bytes[field], _ = protowire.ConsumeBytes(rest[head:])
			}
			rest = rest[n:]
		}
		if good != whole {
			t.Fatalf("% x: a message %t, by the library %t", in, good, whole)
		}
		if good && (!maps.Equal(got.whole, want.whole) || !maps.EqualFunc(got.bytes, want.bytes, bytes.Equal)) {
			t.Fatalf("% x: %v, want %v", in, got, want)
		}
	})
}

// still is a clock that stands.
type still struct{}

func (still) Now() time.Time                       { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
func (still) After(time.Duration) <-chan time.Time { return nil }

// plain is a front whose machines need no ports.
type plain struct{ *Front }

func (plain) Doors() []minersim.Door { return nil }

// fuzzed is a machine of a release with the REST interface, or without.
func fuzzed(t testing.TB, release string) *minersim.Device {
	file, err := minersim.ParseFleet([]byte("groups: [{name: a, count: 1, model: S21, firmware: BraiinsOS, firmwareVersion: '" + release + "', firstAddress: 127.0.0.1}]"))
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := minersim.NewFleet(file, map[string]minersim.Front{"BraiinsOS": plain{&Front{}}}, still{})
	if err != nil {
		t.Fatal(err)
	}
	return fleet.Devices[0]
}

// sane: the machine stays one that can be: its target within its range, its watts between asleep and that.
func sane(t *testing.T, m *minersim.Machine, st *state) {
	t.Helper()
	for range 3 {
		m.Advance(m.Now() + 5*time.Minute)
		if w := m.Watts(); w < m.ResidualWatts || w > 1.05*float64(st.max) {
			t.Fatalf("%g W", w)
		}
		if st.target < st.min || st.target > st.max {
			t.Fatalf("a target of %d W, from %d to %d", st.target, st.min, st.max)
		}
	}
}

// FuzzCalls: whatever a client of the gRPC interface sends, the machine stays one that can be, and every answer is a
// message or a status.
func FuzzCalls(f *testing.F) {
	methods := slices.Sorted(maps.Keys(grpcWrites))
	methods = append(methods, slices.Sorted(maps.Keys(grpcReads))...)
	methods = append(methods, grpcLogin, "MinerService/Unheard")
	for i := range methods {
		f.Add(uint8(i), false, []byte(message{}.whole(1, 3).inner(2, message{}.whole(1, 2800))))
		f.Add(uint8(i), true, []byte(message{}.whole(1, 3).inner(2, message{}.whole(1, 1<<19))))
		f.Add(uint8(i), false, []byte(message{}.whole(1, 3).inner(2, message{}.whole(1, 9000))))
		f.Add(uint8(i), true, []byte(message{}.text(1, "root").text(2, "root")))
	}
	f.Fuzz(func(t *testing.T, method uint8, older bool, request []byte) {
		asked, good := parseFields(request)
		if !good {
			return
		}
		release := map[bool]string{true: "25.05"}[older]
		d := fuzzed(t, release)
		d.Do(func(m *minersim.Machine) {
			c := newRemote(d, m, asked)
			c.tokens["t"] = m.Now()
			reply, err := c.run(methods[int(method)%len(methods)], "t")
			if _, whole := parseFields(reply); !whole || err != nil && status.Code(err) == codes.Unknown {
				t.Fatalf("answered % x, %v", []byte(reply), err)
			}
			sane(t, m, c.state)
		})
	})
}

// FuzzRequests: the same of the REST interface.
func FuzzRequests(f *testing.F) {
	for _, seed := range []struct{ method, path, body string }{
		{"PUT", "performance/power-target", `{"watt":2800}`}, {"PUT", "performance/power-target", `{"watt":1e300}`},
		{"PUT", "performance/power-target", `{"watt":9000}`}, {"PUT", "performance/power-target", `{"watt":-1}`},
		{"PATCH", "performance/power-target/increment", `{"watt":9223372036854775807}`}, {"PATCH", "performance/power-target/decrement", `{"watt":-9223372036854775808}`},
		{"PATCH", "performance/power-target/relative", `{"percentage":1e308,"reference":4}`}, {"PUT", "performance/quick-ramping", `{"up_s":9223372036854775807,"down_s":0}`},
		{"PUT", "actions/pause", ``}, {"PUT", "actions/reboot", ``}, {"PUT", "actions/locate", `tru`}, {"POST", "auth/login", `{"username":"root","password":"root"}`},
		{"GET", "miner/details", ``}, {"GET", "configuration/constraints", ``},
	} {
		f.Add(seed.method, seed.path, []byte(seed.body))
	}
	acts := map[string]func(*call) (any, error){"POST auth/login": login, "GET version": version}
	add := func(pattern string, act func(*call) (any, error)) { acts[pattern] = act }
	addActions(add)
	addPerformance(add)
	for path, act := range reads {
		add("GET "+path, act)
	}
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		act := acts[method+" "+path]
		if act == nil {
			return
		}
		d := fuzzed(t, "")
		d.Do(func(m *minersim.Machine) {
			_, st := memoryOf(d)
			c := &call{state: st, m: m, now: d.Clock().Now(), d: d, body: body}
			out, err := act(c)
			if _, wrong := json.Marshal(out); wrong != nil {
				t.Fatalf("answered %v, %v: %v", out, err, wrong)
			}
			_, _ = st.resume(m), m.Watts()
			sane(t, m, st)
		})
	})
}
