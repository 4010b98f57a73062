package protorig

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

// client speaks REST to one machine.
type client struct {
	wire.Client
	password string
	// secure is where HTTPS is looked for.
	secure netip.AddrPort
}

// newClient makes a client; it sends nothing.
func newClient(t miner.Target) *client {
	c := &client{password: t.Password, secure: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, SecurePort)))}
	c.Client = wire.Client{
		Address: netip.AddrPortFrom(t.Address, uint16(cmp.Or(t.Port, Port))),
		Root:    "/api/v1/",
		Judge:   c.judge,
		Login:   c.login,
		Show:    func(header http.Header, token string) { header.Set("Authorization", "Bearer "+token) },
	}
	return c
}

// get reads one resource. A machine that has nothing to say now answers with no content, which leaves out as
// it is.
func (c *client) get(ctx context.Context, path string, out any) error {
	reply, err := c.Do(ctx, wire.Request{Path: path})
	if err != nil || reply.Status == http.StatusNoContent {
		return err
	}
	return c.Decode(path, reply, out)
}

// open reads one resource that wants no token.
func (c *client) open(ctx context.Context, path string, out any) error {
	reply, err := c.Do(ctx, wire.Request{Path: path, Open: true})
	if err != nil {
		return err
	}
	return c.Decode(path, reply, out)
}

// tell commands something that may be said twice, as every command of this driver names an absolute state.
// Yes is a status of success; a page of a web server is none.
func (c *client) tell(ctx context.Context, method, path string, in, out any) error {
	reply, err := c.Command(ctx, wire.Request{Method: method, Path: path, Body: in})
	if err != nil || len(reply.Body) == 0 {
		return err
	}
	if err := wire.Decode(reply.Body, out); err != nil {
		return fmt.Errorf("%s: %s %s: it said neither yes nor no: %w", c.Address, method, path, err)
	}
	return nil
}

// login fetches a token. It changes nothing on the machine.
func (c *client) login(ctx context.Context) (string, error) {
	const path = "auth/login"
	reply, err := c.Exchange(ctx, wire.Request{
		Method: http.MethodPost, Path: path, Body: map[string]string{"password": c.password},
	})
	if err != nil {
		return "", err
	}
	why, kind := c.judge(reply)
	if !reply.OK() && (c.password == "" || reply.Status == http.StatusNotFound) && c.isOpen(ctx) {
		return noToken, nil
	}
	switch status := reply.Status; {
	case why != "":
		return "", fmt.Errorf("%s: login: %s: %w", c.Address, why, kind)
	case reply.OK():
		var opened session
		_ = wire.Decode(reply.Body, &opened) // what is no token is told apart by who asked for one
		return string(opened.Token), nil
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden,
		status == http.StatusUnprocessableEntity: // a password shorter than eight characters is no request to it
		return "", fmt.Errorf("%s: login: HTTP %d: %w: set password of the pool's credentials secret",
			c.Address, status, miner.ErrUnauthorized)
	case status/100 == 5, status == http.StatusTooManyRequests:
		return "", fmt.Errorf("%s: login: HTTP %d: %w: try again later", c.Address, status, miner.ErrRefused)
	default:
		return "", fmt.Errorf("%s: login: HTTP %d: %w", c.Address, status, miner.ErrNotThisFirmware)
	}
}

// judge reads what stands in the body of a refusal: a machine with its first password takes orders from
// nobody, and an error may come with a status of success.
func (c *client) judge(reply wire.Reply) (why string, kind error) {
	var said struct {
		Error failure `json:"error"`
	}
	_ = wire.Decode(reply.Body, &said) // what is no JSON has no code
	if reply.Status == http.StatusForbidden && (firstPassword(string(said.Error)) || firstPassword(string(reply.Body))) {
		return "it still has its first password: change it on the machine's own page", miner.ErrLocked
	}
	if !reply.OK() || said.Error == "" {
		return "", nil
	}
	text := string(said.Error)
	if c.password != "" && strings.Contains(text, c.password) {
		text = "" // what it was sent is nobody else's to read
	}
	return fmt.Sprintf("it said no: %q", text), miner.ErrRefused
}

// firstPassword says whether a refusal is because of the password that the machine was delivered with: by
// its code, or in the words that come without one.
func firstPassword(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "default_password_active") || strings.Contains(text, "default password must be changed")
}

// noToken is shown where nothing but orders wants one, and none was to be had.
const noToken = "none"

// isOpen says that what the machine does can be read without a login.
func (c *client) isOpen(ctx context.Context) bool {
	var now mining
	reply, err := c.Exchange(ctx, wire.Request{Path: "mining"})
	return err == nil && reply.OK() && wire.Decode(reply.Body, &now) == nil && now.word() != ""
}
