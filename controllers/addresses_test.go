package controllers

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestShards(t *testing.T) {
	for name, c := range map[string]struct {
		addresses []string
		per       int
		want      [][]string
	}{
		"a CIDR in two":           {[]string{"10.0.0.0/30"}, 2, [][]string{{"10.0.0.0-10.0.0.1"}, {"10.0.0.2-10.0.0.3"}}},
		"across an octet":         {[]string{"10.0.0.254-10.0.1.1"}, 3, [][]string{{"10.0.0.254-10.0.1.0"}, {"10.0.1.1"}}},
		"several in one":          {[]string{"10.0.0.1", "10.0.0.8/31"}, 256, [][]string{{"10.0.0.1", "10.0.0.8-10.0.0.9"}}},
		"IPv6":                    {[]string{"fd00::fffe/127", "fd00::2:0"}, 2, [][]string{{"fd00::fffe-fd00::ffff"}, {"fd00::2:0"}}},
		"the last address of all": {[]string{"255.255.255.254/31"}, 2, [][]string{{"255.255.255.254-255.255.255.255"}}},
	} {
		t.Run(name, func(t *testing.T) {
			spans, err := parseSpans(c.addresses)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, shards(spans, c.per)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// TestSpansLikeSets compares subtract and shards with plain sets of addresses.
func TestSpansLikeSets(t *testing.T) {
	draw := func(t *rapid.T, label string) []span {
		var spans []span
		at := 0
		for range rapid.IntRange(0, 4).Draw(t, label) {
			first := at + rapid.IntRange(0, 5).Draw(t, "gap")
			last := first + rapid.IntRange(0, 6).Draw(t, "more")
			spans = append(spans, span{address(first), address(last)})
			at = last + 1
		}
		return spans
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		minus := set(b)
		var want []netip.Addr
		for _, addr := range set(a) {
			if !slices.Contains(minus, addr) {
				want = append(want, addr)
			}
		}
		left := subtract(a, b)
		if diff := cmp.Diff(want, set(left), cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
			t.Fatalf("%v minus %v is %v: %s", a, b, left, diff)
		}
		per := rapid.IntRange(1, 5).Draw(t, "per")
		var all []netip.Addr
		for _, shard := range shards(a, per) {
			spans, err := parseSpans(shard)
			if err != nil || len(set(spans)) > per {
				t.Fatalf("shard %v of %d: %v", shard, per, err)
			}
			all = append(all, set(spans)...)
		}
		if diff := cmp.Diff(set(a), all, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestBlocks: every address of a span is in one of its blocks, and none comes twice.
func TestBlocks(t *testing.T) {
	for _, s := range spansOf([]string{
		"10.0.0.63-10.0.0.64", "10.0.0.64-10.0.0.127", "10.0.0.1-10.0.1.0", "10.0.0.9", "255.255.255.0/24", "fd00::ff-fd00::1ff",
	}) {
		var want []netip.Prefix
		for _, a := range set([]span{s}) {
			b, _ := a.Prefix(a.BitLen() - blockBits)
			want = append(want, b)
		}
		if got := slices.Collect(s.blocks()); !slices.Equal(got, slices.Compact(want)) {
			t.Errorf("%v is in %v, want %v", s, got, slices.Compact(want))
		}
	}
}

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(n >> 4), byte(240 + n&15)})
}

func set(spans []span) []netip.Addr {
	var out []netip.Addr
	for _, s := range spans {
		for a := s.first; a.IsValid() && !s.last.Less(a); a = a.Next() {
			out = append(out, a)
		}
	}
	return out
}

func nth(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }
