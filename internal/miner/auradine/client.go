package auradine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// client speaks both APIs of one machine: HTTP with a token, and the RPC of its mining program, which wants
// none and is only read.
type client struct {
	wire.Client
	rpc netip.AddrPort
	// other is where the mining program may be instead, where the port that was named has no web server.
	other              netip.AddrPort
	username, password string
}

// newClient makes a client; it sends nothing.
func newClient(t miner.Target) *client {
	if t.Username == "" && t.Password == "" {
		t.Password = defaultPassword
	}
	port := cmp.Or(t.Port, Port)
	below := max(port+rpcOffset, 0)
	c := &client{
		rpc:      netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.SecondPort, below))),
		username: cmp.Or(t.Username, defaultUser), password: t.Password,
	}
	if t.Port != 0 && t.Port != Port && t.SecondPort == 0 {
		c.other = netip.AddrPortFrom(t.Address, uint16(t.Port))
	}
	c.Client = wire.Client{
		Address: netip.AddrPortFrom(t.Address, uint16(port)),
		Root:    "/",
		Judge:   c.judge,
		Login:   c.login,
		Show:    func(header http.Header, token string) { header.Set("Token", token) },
		Refused: refusesToken,
	}
	return c
}

// ask reads one resource over HTTP.
func (c *client) ask(ctx context.Context, path string) (envelope, error) {
	var reply envelope
	err := c.Get(ctx, path, &reply)
	return reply, err
}

// run has the mining program answer one command.
func (c *client) run(ctx context.Context, command string) (envelope, error) {
	line, err := json.Marshal(map[string]string{"command": command})
	if err != nil {
		return envelope{}, fmt.Errorf("%s: %s: %w", c.rpc, command, err)
	}
	data, err := wire.Exchange(ctx, c.rpc, command, append(line, '\n'), wire.ReadReply)
	if err != nil {
		return envelope{}, err
	}
	var reply envelope
	if err := wire.Decode(data, &reply); err != nil {
		return envelope{}, fmt.Errorf("%s: %s: %w", c.rpc, command, err)
	}
	return reply, nil
}

// program asks the mining program what it is, where it belongs, else where somebody may have mapped it who knows of no
// web server.
func (c *client) program(ctx context.Context) (envelope, error) {
	reply, err := c.run(ctx, "version")
	if err == nil || !c.other.IsValid() {
		return reply, err
	}
	there := &client{rpc: c.other}
	if said, elsewhere := there.run(ctx, "version"); elsewhere == nil && said.isFluxOS() {
		c.rpc = c.other
		return said, nil
	}
	return reply, err
}

// setMode sets some fields of the mode, which may be said twice. The command's name stands in the body too.
func (c *client) setMode(ctx context.Context, fields map[string]any) error {
	fields["command"] = "mode"
	answer, err := c.Command(ctx, wire.Request{Method: http.MethodPost, Path: "mode", Body: fields})
	if err != nil {
		return err
	}
	var reply envelope
	if wire.Decode(answer.Body, &reply) != nil || !reply.Status.First().OK() {
		return fmt.Errorf("%s: POST mode: it said neither yes nor no", c.Address)
	}
	return nil
}

// refusesToken: a token that is gone is told by the status, or by an error that comes with status 200.
func refusesToken(reply wire.Reply) bool {
	if reply.Status == http.StatusUnauthorized {
		return true
	}
	var said struct {
		Status wire.Statuses `json:"STATUS"`
	}
	if wire.Decode(reply.Body, &said) != nil || !said.Status.First().No() {
		return false
	}
	text := strings.ToLower(string(said.Status.First().Message))
	for _, sign := range []string{"token", "session", "expired", "unauthorized"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// judge reads a refusal, which may come with status 200.
func (c *client) judge(reply wire.Reply) (why string, kind error) {
	var said struct {
		Status wire.Statuses `json:"STATUS"`
	}
	if wire.Decode(reply.Body, &said) != nil || !said.Status.First().No() {
		return "", nil //nolint:nilerr // what is no answer of its own is judged by its status
	}
	if refusesToken(reply) {
		return "it refuses the token it gave", miner.ErrToken
	}
	return c.told(said.Status.First()), miner.ErrRefused
}

// told is what the machine says against a request; what it was sent is nobody else's to read.
func (c *client) told(s wire.Status) string {
	text := string(s.Message)
	if c.password != "" && strings.Contains(text, c.password) {
		text = ""
	}
	code, _ := s.Code.Int()
	return fmt.Sprintf("code %d %q", code, text)
}

// login fetches a token. It changes nothing on the machine.
func (c *client) login(ctx context.Context) (string, error) {
	in := map[string]string{"command": "token", "user": c.username, "password": c.password}
	answer, err := c.Exchange(ctx, wire.Request{Method: http.MethodPost, Path: "token", Body: in})
	if err != nil {
		return "", err
	}
	var reply envelope
	unread := wire.Decode(answer.Body, &reply)
	status := answer.Status
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "", fmt.Errorf("%s: login as %q: HTTP %d: %w: set username and password of the pool's credentials secret",
			c.Address, c.username, status, miner.ErrUnauthorized)
	case status == http.StatusTooManyRequests:
		return "", fmt.Errorf("%s: login: HTTP %d: %w: try again later", c.Address, status, miner.ErrBusy)
	case status/100 == 5:
		return "", fmt.Errorf("%s: login: HTTP %d: %w: try again later", c.Address, status, miner.ErrRefused)
	case unread == nil && reply.Status.First().No():
		return "", fmt.Errorf("%s: login as %q: %s: %w: set username and password of the pool's credentials secret",
			c.Address, c.username, c.told(reply.Status.First()), miner.ErrUnauthorized)
	case status == http.StatusNotFound && c.isOpen(ctx):
		return noToken, nil
	case !answer.OK(), unread != nil:
		return "", fmt.Errorf("%s: login: HTTP %d: %w: no FluxOS API here", c.Address, status, miner.ErrNotThisFirmware)
	}
	return reply.Token.First().Token, nil
}

// noToken is shown where no login is, and nobody asks for one.
const noToken = "none"

// isOpen says that who the machine is can be read without a login: what is asked may be what was kept of one, or a
// gateway that logs in by itself.
func (c *client) isOpen(ctx context.Context) bool {
	var reply envelope
	answer, err := c.Exchange(ctx, wire.Request{Path: "ipreport"})
	return err == nil && answer.OK() && wire.Decode(answer.Body, &reply) == nil && reply.Report.First().isAuradine()
}
