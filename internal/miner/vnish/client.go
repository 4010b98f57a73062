package vnish

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// firstWait and longestWait bound how long no login is tried after the machine said "too many".
const (
	firstWait   = 30 * time.Second
	longestWait = 5 * time.Minute
)

// client speaks REST to one machine.
type client struct {
	wire.Client
	password string
	now      func() time.Time
	// notBefore is when the next login may be tried, wait how long the last refusal was worth.
	notBefore time.Time
	wait      time.Duration
}

// newClient makes a client; it sends nothing.
func newClient(t miner.Target) *client {
	c := &client{password: cmp.Or(t.Password, defaultPassword), now: wallClock}
	c.Client = wire.Client{
		Address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port))),
		Root:    "/api/v1/",
		Login:   c.login,
		Show:    func(header http.Header, token string) { header.Set("Authorization", "Bearer "+token) },
		Refused: func(reply wire.Reply) bool { return refusesToken(reply.Status) },
	}
	return c
}

// open reads one resource that wants no token.
func (c *client) open(ctx context.Context, path string, out any) error {
	reply, err := c.Do(ctx, wire.Request{Path: path, Open: true})
	if err != nil {
		return err
	}
	return c.Decode(path, reply, out)
}

// post commands. What this driver posts may be said twice.
func (c *client) post(ctx context.Context, path string, in any) (wire.Reply, error) {
	return c.Command(ctx, wire.Request{Method: http.MethodPost, Path: path, Body: in})
}

// refusesToken: some releases say 403 to a token that is gone, not 401.
func refusesToken(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// login fetches a token. It changes nothing on the machine. A machine that had too many logins is left
// alone for a while, longer each time: asking on would keep everybody else out as well.
func (c *client) login(ctx context.Context) (string, error) {
	if left := c.notBefore.Sub(c.now()); left > 0 {
		return "", fmt.Errorf("%s: unlock: %w: too many logins", c.Address, &miner.Busy{After: left})
	}
	in := map[string]string{"pw": c.password}
	unlocked, err := c.Exchange(ctx, wire.Request{Method: http.MethodPost, Path: "unlock", Body: in})
	if err != nil {
		return "", err
	}
	status := unlocked.Status
	if status == http.StatusTooManyRequests {
		c.wait = min(max(2*c.wait, firstWait), longestWait)
		c.notBefore = c.now().Add(c.wait)
		return "", fmt.Errorf("%s: unlock: HTTP %d: %w: too many logins", c.Address, status, &miner.Busy{After: c.wait})
	}
	c.wait = 0
	switch {
	case refusesToken(status):
		return "", fmt.Errorf("%s: unlock: HTTP %d: %w: set password of the pool's credentials secret",
			c.Address, status, miner.ErrUnauthorized)
	case status/100 == 5, status == http.StatusBadRequest:
		return "", fmt.Errorf("%s: unlock: HTTP %d: %w: try again later", c.Address, status, miner.ErrRefused)
	case status == http.StatusNotFound && c.isOpen(ctx):
		return noToken, nil
	case !unlocked.OK():
		return "", fmt.Errorf("%s: unlock: HTTP %d: %w: no VNish API here", c.Address, status, miner.ErrNotThisFirmware)
	}
	var reply struct {
		Token string `json:"token"`
	}
	_ = wire.Decode(unlocked.Body, &reply) // what is no token is told apart by who asked for one
	return reply.Token, nil
}

// noToken is shown where no login is, and nobody asks for one.
const noToken = "none"

// isOpen says that what the machine does can be read without a login: what is asked may be what was kept of one, or a
// gateway that logs in by itself.
func (c *client) isOpen(ctx context.Context) bool {
	var now summary
	reply, err := c.Exchange(ctx, wire.Request{Path: "summary"})
	return err == nil && reply.OK() && wire.Decode(reply.Body, &now) == nil && now.Miner.Status.State != ""
}
