package vnish

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// metaTag finds the meta tags of a page.
var metaTag = regexp.MustCompile(`(?i)<meta\s[^>]{1,256}>`)

// Probe asks an address once, without credentials, whether VNish answers there; nil is yes. Its web page
// names the firmware in a meta tag of that name.
func Probe(ctx context.Context, t miner.Target) error {
	c := newClient(t)
	reply, err := c.Exchange(ctx, wire.Request{Path: "/"})
	if err != nil {
		return err
	}
	if reply.OK() && names(reply.Body) {
		return nil
	}
	var who info
	if known, err := c.Exchange(ctx, wire.Request{Path: "info"}); err == nil && known.OK() &&
		wire.Decode(known.Body, &who) == nil && who.isVNish() {
		return nil // its page may have been put behind something else
	}
	return fmt.Errorf("%s: %w: GET /: HTTP %d is not the page of VNish", c.Address, miner.ErrNotThisFirmware, reply.Status)
}

func names(page []byte) bool {
	const head = 16 << 10 // the tag stands in the first kilobyte
	for _, tag := range metaTag.FindAll(page[:min(len(page), head)], -1) {
		text := strings.ToLower(string(tag))
		if strings.Contains(text, "firmware") && strings.Contains(text, "anthillos") {
			return true
		}
	}
	return false
}
