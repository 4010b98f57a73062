package controllers

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/counterweight-dev/counterweight/internal/lease"
)

var _ = Describe("An agent's claim", func() {
	It("is what it wants less what any other may command, in whatever block of addresses", func() {
		dice := rand.New(rand.NewPCG(1, 1))
		from := map[bool]netip.Addr{false: netip.MustParseAddr("10.1.255.240"), true: netip.MustParseAddr("fd00::fff0")}
		some := func() span {
			s := span{first: from[dice.IntN(4) == 0]}
			for range dice.IntN(32) {
				s.first = s.first.Next()
			}
			s.last = s.first
			for range dice.IntN(8) {
				s.last = s.last.Next()
			}
			return s
		}
		for range 500 {
			l := &links{table: map[string]*agentLink{}, clock: time.Now}
			for i := range 6 {
				a := &agentLink{issuer: lease.NewIssuer(1)}
				a.holding.spans = []span{some(), some()}
				l.table[fmt.Sprint(i)] = a
			}
			for _, a := range l.table {
				wanted := some()
				left := []span{wanted}
				for _, other := range l.table {
					if other != a {
						left = subtract(left, other.holding.spans)
					}
				}
				var want []string
				for _, s := range left {
					want = append(want, s.String())
				}
				Expect(l.claim(a, []string{wanted.String()})).To(HaveExactElements(want))
			}
		}
	})
})
