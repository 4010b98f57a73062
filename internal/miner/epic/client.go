package epic

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// client speaks HTTP to one machine. Questions want no password, commands carry it in their body.
type client struct {
	wire.Client
	password string
}

// newClient makes a client; it sends nothing.
func newClient(t miner.Target) *client {
	c := &client{password: cmp.Or(t.Password, defaultPassword)}
	c.Client = wire.Client{
		Address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port))),
		Root:    "/",
		Judge:   c.judge,
	}
	return c
}

// command is the body of everything that is told.
type command struct {
	Param    any    `json:"param,omitempty"`
	Password string `json:"password"`
}

// post tells the machine something, which may be said twice: each is an absolute state.
func (c *client) post(ctx context.Context, path string, param any) error {
	reply, err := c.Command(ctx, wire.Request{
		Method: http.MethodPost, Path: path, Body: command{Param: param, Password: c.password},
	})
	if err != nil {
		return err
	}
	var said answer
	if wire.Decode(reply.Body, &said) != nil || !said.Result.Set {
		return fmt.Errorf("%s: POST %s: it said neither yes nor no", c.Address, path)
	}
	return nil
}

// judge reads a refusal, which comes with status 200. While it works on its last command, a machine
// refuses the next one.
func (c *client) judge(reply wire.Reply) (why string, kind error) {
	var said answer
	if wire.Decode(reply.Body, &said) != nil || !said.Result.Set || said.Result.Value {
		return "", nil //nolint:nilerr // what is no answer of its own is judged by its status
	}
	text := string(said.Error)
	if strings.Contains(strings.ToLower(text), "badpassword") {
		return "it refuses the password: set password of the pool's credentials secret", miner.ErrUnauthorized
	}
	if strings.Contains(text, c.password) {
		text = "" // what it was sent is nobody else's to read
	}
	if strings.Contains(text, "LastCmdStillPending") { // somebody's, or one of ours
		return fmt.Sprintf("it said no: %q", text), miner.ErrBusy
	}
	return fmt.Sprintf("it said no: %q", text), miner.ErrRefused
}
