package braiins

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// client speaks REST to one machine.
type client struct {
	wire.Client
	username, password string
}

// newClient makes a client; it sends nothing.
func newClient(t miner.Target) *client {
	if t.Username == "" && t.Password == "" {
		t.Password = defaultPassword
	}
	c := &client{username: cmp.Or(t.Username, defaultUser), password: t.Password}
	c.Client = wire.Client{
		Address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port))),
		Root:    "/api/v1/",
		Kinds:   map[int]error{http.StatusTooManyRequests: miner.ErrRefused},
		Login:   c.login,
		// The bare token: no "Bearer".
		Show: func(header http.Header, token string) { header.Set("Authorization", token) },
	}
	return c
}

// put writes one resource; out may be nil. Every PUT of this driver names an absolute state, so that it
// may be said twice.
func (c *client) put(ctx context.Context, path string, in, out any) error {
	reply, err := c.Command(ctx, wire.Request{Method: http.MethodPut, Path: path, Body: in})
	if err == nil && out != nil {
		_ = wire.Decode(reply.Body, out) // the status said yes; what the body adds is a courtesy
	}
	return err
}

// login fetches a token. It changes nothing on the machine.
func (c *client) login(ctx context.Context) (string, error) {
	in := map[string]string{"username": c.username, "password": c.password}
	reply, err := c.Exchange(ctx, wire.Request{Method: http.MethodPost, Path: "auth/login", Body: in})
	if err != nil {
		return "", err
	}
	status := reply.Status
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "", fmt.Errorf("%s: login as %q: HTTP %d: %w: set username and password of the pool's credentials secret",
			c.Address, c.username, status, miner.ErrUnauthorized)
	case status/100 == 5, status == http.StatusTooManyRequests:
		return "", fmt.Errorf("%s: login: HTTP %d: %w: try again later", c.Address, status, miner.ErrRefused)
	case status == http.StatusNotFound && c.open(ctx):
		return noToken, nil
	case !reply.OK():
		return "", fmt.Errorf("%s: login: HTTP %d: %w: no Braiins OS REST API here (it needs 25.07 or later)",
			c.Address, status, miner.ErrNotThisFirmware)
	}
	var opened session
	_ = wire.Decode(reply.Body, &opened) // what is no token is told apart by who asked for one
	return opened.Token, nil
}

// noToken is shown where no login is, and nobody asks for one.
const noToken = "none"

// open says that who the machine is can be read without a login: what is asked may be what was kept of a machine, or a
// gateway that logs in by itself.
func (c *client) open(ctx context.Context) bool {
	var who details
	reply, err := c.Exchange(ctx, wire.Request{Path: "miner/details"})
	return err == nil && reply.OK() && wire.Decode(reply.Body, &who) == nil && who.isBraiins()
}
