package played

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Addresses hands out loopback addresses, 127.0.X.1 to 127.0.X.250, to pods and nodes. Several rehearsals
// on one machine keep out of each other's way: whoever listens on claimPort of 127.0.X.254 owns 127.0.X.
type Addresses struct {
	mu     sync.Mutex
	blocks []block
	used   map[netip.Addr]bool
	next   int
}

type block struct {
	third byte
	claim net.Listener
}

const (
	claimPort  = 64443
	firstBlock = 10
	lastBlock  = 250
	perBlock   = 250
)

// NewAddresses claims the first block.
func NewAddresses() (*Addresses, error) {
	a := &Addresses{used: map[netip.Addr]bool{}}
	return a, a.claim()
}

func (a *Addresses) claim() error {
	from := firstBlock
	if n := len(a.blocks); n > 0 {
		from = int(a.blocks[n-1].third) + 1
	}
	for third := from; third <= lastBlock; third++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.%d.254:%d", third, claimPort))
		if err == nil {
			a.blocks = append(a.blocks, block{third: byte(third), claim: l})
			return nil
		}
	}
	return errors.New("no block of addresses in 127.0.0.0/16 is left for pods: end other rehearsals on this machine")
}

// Take hands out an address that nobody has and that was not given back just now.
func (a *Addresses) Take() (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		size := len(a.blocks) * perBlock
		for range size {
			n := a.next % size
			a.next = n + 1
			addr := netip.AddrFrom4([4]byte{127, 0, a.blocks[n/perBlock].third, byte(n%perBlock + 1)})
			if !a.used[addr] {
				a.used[addr] = true
				return addr, nil
			}
		}
		a.next = size
		if err := a.claim(); err != nil {
			return netip.Addr{}, err
		}
	}
}

// Give takes an address back.
func (a *Addresses) Give(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.used, addr)
}

// Close gives up the blocks.
func (a *Addresses) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.blocks {
		b.claim.Close()
	}
}
