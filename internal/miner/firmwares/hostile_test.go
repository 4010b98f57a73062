package firmwares

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// villain is what answers in a machine's stead. It speaks on conn until it fails or is done, whereupon that is
// closed; asked yields the first bytes that came.
type villain func(conn net.Conn, asked []byte)

const (
	header200 = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	// yes begins a reply that would be one, were there an end to it.
	yes = `{"STATUS":[{"STATUS":"S","When":1,"Code":22,"Description":"x","Msg":"`
)

// villains are tried on every driver in every protocol: each speaks HTTP to who asked so, and else plain TCP, where
// what comes is read as text, as JSON, or as frames with their length before them.
func villains() map[string]villain {
	bomb := gzipBomb()
	return map[string]villain{
		"silent":       func(conn net.Conn, _ []byte) { _, _ = io.Copy(io.Discard, conn) },
		"closes":       func(net.Conn, []byte) {},
		"slow-loris":   drips(header200+"\r\n"+yes, "a", time.Second),
		"slow headers": drips("HTTP/1.1 200 OK\r\nX: ", "a", time.Second),
		"slow number":  drips(length(1<<16)+"{", " ", time.Second),
		"endless": func(conn net.Conn, asked []byte) {
			pours(conn, either(asked, header200+"\r\n"+yes, yes), strings.Repeat("a", 64<<10))
		},
		"endless headers": func(conn net.Conn, _ []byte) {
			pours(conn, "HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("a", 1<<10)+"\r\n")
		},
		"endless chunks": func(conn net.Conn, _ []byte) {
			pours(conn, header200+"Transfer-Encoding: chunked\r\n\r\n", "10\r\n"+strings.Repeat(" ", 16)+"\r\n")
		},
		"never final": func(conn net.Conn, _ []byte) { pours(conn, "", "HTTP/1.1 100 Continue\r\n\r\n") },
		"endless spaces": func(conn net.Conn, asked []byte) {
			pours(conn, either(asked, header200+"\r\n", ""), strings.Repeat(" ", 64<<10))
		},
		"endless NULs": func(conn net.Conn, asked []byte) {
			pours(conn, either(asked, header200+"\r\n", ""), strings.Repeat("\x00", 64<<10))
		},
		"a gigabyte": func(conn net.Conn, asked []byte) {
			pours(conn, either(asked, header200+"Content-Length: 1000000000\r\n\r\n", length(1_000_000_000)), strings.Repeat("{", 64<<10))
		},
		"a gigabyte that does not come": func(conn net.Conn, asked []byte) {
			say(conn, either(asked, header200+"Content-Length: 1000000000\r\n\r\n{", length(1_000_000_000)+"{"))
			_, _ = io.Copy(io.Discard, conn)
		},
		"a frame cut short": answers(length(100)+`{"code":0`, `{"code":0`),
		"deep":              answers(strings.Repeat("[", 500_000), strings.Repeat("[", 500_000)),
		"deep, framed":      answers(length(1000)+strings.Repeat("[", 1000), strings.Repeat(`{"a":`, 100_000)),
		"gzip bomb": func(conn net.Conn, asked []byte) {
			say(conn, either(asked, header200+fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", len(bomb)), "")+string(bomb))
		},
		"NUL in the middle": answers("{\"STATUS\":\x00\"S\"}", "{\"STATUS\":\x00\"S\"}"),
		"wrong types":       answers(`{"STATUS":7,"Msg":[[[]]],"code":{},"SUMMARY":"x","DEVS":7,"msg":[7],"id":[]}`, `{"data":7,"status":[],"result":{},"miner":"x","power":[],"hashrate":{"a":[]}}`),
		"an empty list":     answers("[]", "[]"),
		"a number":          answers("7", "7"),
		"a page":            answers("<html>", "<!DOCTYPE html><html></html>"),
		"an echo":           func(conn net.Conn, asked []byte) { say(conn, string(asked)) },
		"challenges for ever": func(conn net.Conn, _ []byte) {
			say(conn, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"antMiner\", nonce=\""+strings.Repeat("n", 9<<10)+"\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n")
		},
		"sends elsewhere": func(conn net.Conn, _ []byte) {
			say(conn, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://198.51.100.1/\r\nContent-Length: 0\r\n\r\n")
		},
	}
}

// either is what is said to who asked over HTTP, and to who did not.
func either(asked []byte, http, plain string) string {
	if bytes.Contains(asked, []byte("HTTP/1.1\r\n")) {
		return http
	}
	return plain
}

func say(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }

// answers is said once, with a length over HTTP.
func answers(plain, body string) villain {
	return func(conn net.Conn, asked []byte) {
		say(conn, either(asked, header200+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), plain))
	}
}

// drips says first and then a little at a time, for ever.
func drips(first, then string, every time.Duration) villain {
	return func(conn net.Conn, _ []byte) {
		for i := range first {
			time.Sleep(every / 100)
			if _, err := io.WriteString(conn, first[i:i+1]); err != nil {
				return
			}
		}
		for {
			time.Sleep(every)
			if _, err := io.WriteString(conn, then); err != nil {
				return
			}
		}
	}
}

func pours(conn net.Conn, first, then string) {
	if _, err := io.WriteString(conn, first); err != nil {
		return
	}
	then = strings.Repeat(then, max(1, 32<<10/len(then))) // a pipe is slow with little
	for {
		if _, err := io.WriteString(conn, then); err != nil {
			return
		}
	}
}

func length(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }

func gzipBomb() []byte {
	var out bytes.Buffer
	squeeze := gzip.NewWriter(&out)
	_, _ = squeeze.Write(make([]byte, 64<<20))
	_ = squeeze.Close()
	return out.Bytes()
}

// place is a machine's address, where the machine itself answers until a villain takes over.
type place struct {
	device *minersim.Device
	front  minersim.Front

	mu      sync.Mutex
	villain villain
	conns   map[net.Conn]struct{}
	// met is how often the villain was, and taken the bytes that were read of what it said.
	met, taken int
}

// dial connects to the place; there is no network.
func (p *place) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if at.Addr() != p.device.Address.Addr() {
		return nil, fmt.Errorf("%s is somewhere else", at)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	near, far := net.Pipe()
	switch serve := p.door(at); {
	case p.villain != nil:
		p.met++
		go p.torment(p.villain, far)
	case serve == nil:
		return nil, syscall.ECONNREFUSED
	default:
		go serve(p.device, far)
	}
	p.conns[far] = struct{}{}
	return near, nil
}

func (p *place) door(at netip.AddrPort) func(*minersim.Device, net.Conn) {
	if at == p.device.Address {
		return p.front.Serve
	}
	for i, door := range minersim.DoorsIn(p.front, p.device.FirmwareVersion) {
		if at == p.device.Doors[i] {
			return door.Serve
		}
	}
	return nil
}

// torment lets the villain speak, once it was asked.
func (p *place) torment(v villain, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	asked := make([]byte, 4<<10)
	n, _ := conn.Read(asked)
	go func() { _, _ = io.Copy(io.Discard, conn) }() // a pipe holds up who writes what nobody reads
	v(&counted{conn, p}, asked[:n])
}

// counted counts what is read of what is written.
type counted struct {
	net.Conn
	place *place
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.place.mu.Lock()
	defer c.place.mu.Unlock()
	c.place.taken += n
	return n, err
}

// hand hands the place over, and cuts whatever was connected.
func (p *place) hand(v villain) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.villain = v
	for conn := range p.conns {
		_ = conn.Close()
		delete(p.conns, conn)
	}
}

// read are the bytes that were taken from the villain since the last call.
func (p *place) read() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.taken
	p.taken = 0
	return n
}

const (
	// patient is how long one call may last that nobody ends, and pressed what is left of one that is ended.
	patient, pressed = 2 * time.Minute, time.Second
	// mostTaken bounds what one call takes in, and mostSaid what its error says.
	mostTaken, mostSaid = 16 << 20, 6 << 10
	// leastMet is how many connections there are at least in all calls together.
	leastMet = 6
)

const hostilePassword = "pass-of-the-test"

// TestHostileAddresses: whatever answers at an address, and in whichever moment it begins to, no driver waits for it
// longer than it may, takes in more than it can hold, tells a password, or believes it.
func TestHostileAddresses(t *testing.T) {
	all := villains()
	for i, e := range known {
		for _, group := range groupsOf(e.firmware) {
			for n, name := range slices.Sorted(maps.Keys(all)) {
				group.FirstAddress = fmt.Sprintf("127.140.%d.%d", i, n+1) // connections are kept by address
				t.Run(group.Name+"/"+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { suffer(t, e, group, all[name]) })
				})
			}
		}
	}
}

// groupsOf are machines with a firmware, one of each generation.
func groupsOf(f miner.Firmware) (all []minersim.Group) {
	file, err := minersim.ParseFleet([]byte(strings.ReplaceAll(hall, "BASE", "127.140.0.")))
	if err != nil {
		panic(err)
	}
	for _, g := range file.Groups {
		if strings.HasPrefix(g.Firmware, string(f)) {
			g.Ports, g.Password = nil, hostilePassword
			if strings.HasSuffix(g.FirmwareVersion, "-https") {
				g.Ports = map[string]int{g.Firmware: 443}
			}
			all = append(all, g)
		}
	}
	return all
}

func TestEveryFirmwareHasAMachine(t *testing.T) {
	for _, f := range Supported() {
		if len(groupsOf(f)) == 0 {
			t.Errorf("%s: no machine in the hall: nothing shows what its driver does with it", f)
		}
	}
}

// suffer takes one driver through one villain.
func suffer(t *testing.T, e entry, group minersim.Group, v villain) {
	fronts := newFronts(t)
	fleet, err := minersim.NewFleet(minersim.FleetFile{Seed: 1, Groups: []minersim.Group{group}}, fronts, minersim.Wall{})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{device: fleet.Devices[0], front: fronts[group.Firmware], conns: map[net.Conn]struct{}{}}
	ctx := wire.WithDialer(t.Context(), p.dial)
	target := miner.Target{Address: p.device.Address.Addr(), Password: hostilePassword}
	d := e.open(target)
	if _, err := d.Identify(ctx); err != nil {
		t.Fatalf("the machine itself: %v", err)
	}
	if r, err := d.Read(ctx); err != nil || r.State != miner.Hashing {
		t.Fatalf("the machine itself: %+v, %v", r, err)
	}
	p.hand(v)
	for _, call := range calls(e, target, d) {
		bear(ctx, t, p, call.name, call.do)
	}
	if p.met < leastMet {
		t.Errorf("the machine was asked %d times only", p.met)
	}
	p.hand(func(net.Conn, []byte) {})
	time.Sleep(10 * time.Minute) // what a driver left to itself is over
	synctest.Wait()
}

type call struct {
	name string
	// do answers what a caller can't tell from good news.
	do func(ctx context.Context) (good string, err error)
}

func calls(e entry, target miner.Target, d miner.Driver) []call {
	fresh := func(ctx context.Context) (string, error) {
		id, err := e.open(target).Identify(ctx)
		return fmt.Sprintf("%+v", id), err
	}
	all := []call{
		{"probe", func(ctx context.Context) (string, error) { return "yes", e.probe(wire.Passing(ctx), target) }},
		{"identify", fresh},
		{"identify again", func(ctx context.Context) (string, error) {
			id, err := d.Identify(ctx)
			return fmt.Sprintf("%+v", id), err
		}},
		{"read", func(ctx context.Context) (string, error) {
			r, err := d.Read(ctx)
			if r.State == miner.Unknown && r.Watts == nil && r.HashrateTHs == nil {
				err = cmp.Or(err, errors.New("nothing is known"))
			}
			return fmt.Sprintf("%+v", r), err
		}},
	}
	least := d.Capabilities().MinWatts
	for _, s := range []miner.Setting{{Kind: miner.Sleep}, {Kind: miner.HashMode}, {Kind: miner.HashWatts, Watts: least}} {
		all = append(all, call{"apply " + string(s.Kind), func(ctx context.Context) (string, error) {
			return "", d.Apply(ctx, s) // that it was told yes is no news at all: its watts are read
		}})
	}
	return append(all, call{"identify again", func(ctx context.Context) (string, error) {
		id, err := d.Identify(ctx)
		return fmt.Sprintf("%+v", id), err
	}})
}

// bear makes one call with all the time in the world and once in a hurry.
func bear(ctx context.Context, t *testing.T, p *place, name string, do func(context.Context) (string, error)) {
	t.Helper()
	for hurry, most := range map[time.Duration]time.Duration{0: patient, 4 * time.Second: 4*time.Second + pressed} {
		within, cancel := ctx, context.CancelFunc(func() {})
		if hurry > 0 {
			within, cancel = context.WithTimeout(ctx, hurry)
		}
		began := time.Now()
		good, err := do(within)
		cancel()
		if took := time.Since(began); took > most {
			t.Errorf("%s: took %s, with %s to go", name, took, hurry)
		}
		if n := p.read(); n > mostTaken {
			t.Errorf("%s: took in %d bytes", name, n)
		}
		switch {
		case err == nil && good != "":
			t.Errorf("%s: it is believed: %s", name, good)
		case err != nil && strings.Contains(err.Error(), hostilePassword):
			t.Errorf("%s: the error tells the password: %v", name, err)
		case err != nil && len(err.Error()) > mostSaid:
			t.Errorf("%s: an error of %d bytes: %.200s", name, len(err.Error()), err)
		}
	}
}
