package mixed

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/firmwares"
	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// A firmware that gets a driver is measured as well.
func TestEveryFirmwareIsMeasured(t *testing.T) {
	f := New(netip.MustParseAddr("127.120.16.1"), 256)
	for _, name := range firmwares.Supported() {
		if !slices.ContainsFunc(f.Firmwares(), func(has string) bool { return strings.HasPrefix(has, string(name)) }) {
			t.Errorf("no machine runs %s", name)
		}
	}
	for name := range f.Passwords() {
		if !slices.Contains(firmwares.Supported(), miner.Firmware(name)) {
			t.Errorf("a password for %s, which no driver is called", name)
		}
	}
}

func TestFleet(t *testing.T) {
	for _, n := range []int{1, 2, 256, 1000} {
		f := New(netip.MustParseAddr("127.122.0.1"), n)
		seen := map[netip.Addr]bool{}
		for _, m := range f.Machines() {
			seen[m.Address] = true
		}
		if len(seen) != n || f.Size() != n || len(f.Ranges()) != min(n, len(kinds)) {
			t.Errorf("%d machines at %d addresses in %v, want %d", f.Size(), len(seen), f.Ranges(), n)
		}
	}
}

func TestRanges(t *testing.T) {
	f := Of(nil, minersim.Group{FirstAddress: "127.120.0.1", Count: 1}, minersim.Group{FirstAddress: "127.120.0.2", Count: 255})
	if diff := cmp.Diff([]string{"127.120.0.1-127.120.0.1", "127.120.0.2-127.120.1.0"}, f.Ranges()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
