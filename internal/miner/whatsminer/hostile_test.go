package whatsminer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// hostile answers whatever is asked on both ports with the same bytes, and keeps the connection open where it
// is told to.
func hostile(t *testing.T, plain, framed func(net.Conn)) *Driver {
	t.Helper()
	d := New(miner.Target{Password: secret})
	ask := func(answer func(net.Conn)) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			answer(conn)
		}
	}
	d.plain.address = listen(t, plain != nil, ask(plain))
	d.framed.address = listen(t, framed != nil, ask(framed))
	return d
}

func says(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

func framedText(text string) string { return string(frame([]byte(text))) }

func TestHostileMachines(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	long := `{"STATUS":"S","Msg":"` + strings.Repeat("a", 2<<20) + `"}`
	length := func(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }
	cases := map[string]struct{ plain, framed string }{
		"deep JSON":               {plain: deep},
		"an endless reply":        {plain: long},
		"a NUL in the middle":     {plain: "{\"STATUS\":\"S\x00\",\"Msg\":{}}"},
		"a gzip":                  {plain: "\x1f\x8b\x08\x00\x00\x00\x00\x00"},
		"HTTP":                    {plain: "HTTP/1.1 400 Bad Request\r\n\r\n"},
		"wrong types":             {plain: `{"STATUS":7,"Msg":[[[]]],"Code":{},"SUMMARY":"x","DEVS":7,"enc":[],"Description":[]}`},
		"v3: 1 GiB":               {framed: length(1<<30) + "{}"},
		"v3: 4 GiB":               {framed: length(1<<32 - 1)},
		"v3: cut short":           {framed: length(100) + `{"code":0`},
		"v3: half a length":       {framed: "\x01\x00"},
		"v3: heartbeats, no end":  {framed: strings.Repeat(length(0), 1000)},
		"v3: deep JSON":           {framed: framedText(deep)},
		"v3: wrong types":         {framed: framedText(`{"code":0,"when":[],"msg":{"network":7,"miner":[],"system":"x","power":{"pin":{}},"error-code":7}}`)},
		"v3: TLS":                 {framed: "\x15\x03\x01\x00\x02\x02\x46"},
		"v3: a NUL in the middle": {framed: framedText("{\"code\":0,\x00\"msg\":{}}")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var plain, framed func(net.Conn)
			if c.plain != "" {
				plain = says(c.plain)
			}
			if c.framed != "" {
				framed = says(c.framed)
			}
			d := hostile(t, plain, framed)
			if _, err := d.Identify(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) {
				t.Errorf("identify: %v", err)
			}
			if c.framed != "" {
				d.api = d.framed
			}
			for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashMode}, {Kind: miner.HashWatts, Watts: 3000}} {
				if err := d.Apply(t.Context(), s); err == nil {
					t.Errorf("%s: no error", s.Kind)
				} else if strings.Contains(err.Error(), secret) || len(err.Error()) > 2000 {
					t.Errorf("%s: error of %d bytes: %.300q", s.Kind, len(err.Error()), err)
				}
			}
		})
	}
}

// A length is no promise: nothing is set aside for what does not come.
func TestLengthIsNotTrusted(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		head := binary.LittleEndian.AppendUint32(nil, wire.MaxReply)
		if _, err := readFrame(bytes.NewReader(append(head, '{'))); !errors.Is(err, wire.ErrTruncated) {
			t.Fatalf("error %v is no ErrTruncated", err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 10*wire.MaxReply {
		t.Errorf("%d bytes for 100 frames that did not come", grown)
	}
}

func TestFrames(t *testing.T) {
	cases := map[string]struct {
		in   string
		want error
	}{
		"too long by its word":         {"\x01\x00\x10\x00{}", wire.ErrTooLarge},
		"shorter than its word":        {"\x03\x00\x00\x00{}", wire.ErrTruncated},
		"no length":                    {"\x02\x00", wire.ErrTruncated},
		"nothing":                      {"", wire.ErrTruncated},
		"heartbeats first":             {strings.Repeat("\x00", 4*(maxHeartbeats-1)) + "\x02\x00\x00\x00{}", nil},
		"heartbeats without an end":    {strings.Repeat("\x00", 4*maxHeartbeats) + "\x02\x00\x00\x00{}", wire.ErrTooLarge},
		"deep":                         {"\xc8\x00\x00\x00" + strings.Repeat("[", 200), wire.ErrTooLarge},
		"more than its length follows": {"\x02\x00\x00\x00{}{}{}", nil},
	}
	for name, c := range cases {
		got, err := readFrame(strings.NewReader(c.in))
		if !errors.Is(err, c.want) || err == nil && string(got) != "{}" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A machine that speaks a byte at a time, or not at all, is left when the caller's time is over.
func TestSlowMachines(t *testing.T) {
	for name, first := range map[string]string{"silent": "", "stops after some": "\x20\x00\x00\x00{\"STATUS\":"} {
		for _, port := range []string{"v2", "v3"} {
			t.Run(name+" "+port, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stuck := func(conn net.Conn) {
					_, _ = io.WriteString(conn, first)
					cancel() // and never another byte
					_, _ = conn.Read(make([]byte, 1))
				}
				d := hostile(t, stuck, stuck)
				if port == "v3" {
					d.api = d.framed
				}
				if _, err := d.Read(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("read: error %v is no context.Canceled", err)
				}
			})
		}
	}
}

// What a machine says is kept short and clean.
func TestLoudMachine(t *testing.T) {
	m := m30s()
	m.refuse["power_off"] = fmt.Sprintf(`{"STATUS":"E","Code":132,"Msg":"%s\u0007\n"}`, strings.Repeat("x", 100_000))
	err := identified(t, m).Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
	if err == nil || len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\a\n") {
		t.Errorf("error %.700q", err)
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `{"%d":"x","reason":"%s"},`, i, strings.Repeat("y", 1000))
	}
	faults := faultsOfV3([]byte("[" + strings.TrimSuffix(many.String(), ",") + "]"))
	if len(faults) != maxFaults || len(faults[0]) > longestFault {
		t.Errorf("%d faults, the first of %d bytes", len(faults), len(faults[0]))
	}
	if got := faultsOf([]byte(many.String())); len(got) != maxFaults {
		t.Errorf("%d faults", len(got))
	}
}
