package whatsminer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// rpc speaks API v2 (and reads API v1), one request per connection. Reads go in clear, orders encrypted.
type rpc struct {
	address  netip.AddrPort
	password string
	// token is kept: a machine has 100 of them at most, older ones 16, each for half an hour.
	token *token
	// older: it takes what it is asked under the name that cgminer has for it.
	older bool
}

// order is one command to API v2; all its values are text.
type order struct {
	Token      string `json:"token,omitempty"`
	Command    string `json:"cmd,omitempty"`
	Older      string `json:"command,omitempty"`
	RespBefore string `json:"respbefore,omitempty"`
	PowerLimit string `json:"power_limit,omitempty"`
}

// send marshals a request, sends it, and decodes the reply.
func (c *rpc) send(ctx context.Context, name string, request any) (reply, error) {
	line, err := json.Marshal(request)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %s: %w", c.address, name, err)
	}
	data, err := wire.Exchange(ctx, c.address, name, append(line, '\n'), wire.ReadReply)
	if err != nil {
		return reply{}, err
	}
	return c.decode(name, data)
}

func (c *rpc) decode(name string, data []byte) (reply, error) {
	var r reply
	if err := wire.Decode(mended(data), &r); err != nil {
		return reply{}, fmt.Errorf("%s: %s: %w", c.address, name, err)
	}
	return r, nil
}

// ask reads something and judges its STATUS.
func (c *rpc) ask(ctx context.Context, command string) (reply, error) {
	question := order{Command: command}
	if c.older {
		question = order{Older: command}
	}
	r, err := c.send(ctx, command, question)
	if err != nil {
		return reply{}, err
	}
	return r, c.verdict(command, r, false)
}

// verdict is nil where the reply says yes.
func (c *rpc) verdict(command string, r reply, sealed bool) error {
	code, status := r.code(), r.Status.First()
	if status.OK() && !failed(code) {
		return nil
	}
	no := &refusal{address: c.address, command: command, code: code, message: r.message()}
	if c.token != nil {
		no.message = without(c.token.sign, no.message)
	}
	// A letter and a code that contradict each other leave open what the machine did.
	if status.No() && code != codeOK && code != codeTokenOK {
		no.judge(sealed)
	}
	return no
}

// failed says that a code is a no, whatever letter it comes with.
func failed(code int64) bool {
	switch code {
	case codeInvalid, codeBadJSON, codeDenied, codeError, codeTokenBad, codeTokenMany, codeBadBase64:
		return true
	}
	return false
}

// command gives an order. A token that the machine has forgotten is asked for anew, once.
func (c *rpc) command(ctx context.Context, o order) error {
	err := c.commandOnce(ctx, o)
	if codeOf(err) != codeTokenBad || !miner.NotApplied(err) {
		return err
	}
	c.token = nil
	return c.commandOnce(ctx, o)
}

func (c *rpc) commandOnce(ctx context.Context, o order) error {
	if err := c.authorize(ctx); err != nil {
		return err
	}
	o.Token = c.token.sign
	plain, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", c.address, o.Command, err)
	}
	r, err := c.send(ctx, o.Command, struct {
		Enc  int    `json:"enc"`
		Data string `json:"data"`
	}{1, c.token.seal(plain)})
	if err != nil {
		return err
	}
	if r.Enc != "" { // errors may come in clear, the rest is encrypted
		sealed, err := c.token.open(string(r.Enc))
		if err != nil {
			c.token = nil
			return fmt.Errorf("%s: %s: %w", c.address, o.Command, err)
		}
		if r, err = c.decode(o.Command, sealed); err != nil {
			return err
		}
	}
	return c.verdict(o.Command, r, true)
}

// authorize gets a token where there is none.
func (c *rpc) authorize(ctx context.Context) error {
	if c.token != nil {
		return nil
	}
	r, err := c.ask(ctx, "get_token")
	if err != nil {
		return err
	}
	var what challenge
	_ = json.Unmarshal(r.Msg, &what)
	t, err := what.answer(c.password)
	if err != nil {
		return fmt.Errorf("%s: get_token: %w: %w", c.address, miner.ErrRefused, err)
	}
	c.token = t
	return nil
}

// codeOf is the code of a refusal, 0 where err is none.
func codeOf(err error) int64 {
	if no, ok := errors.AsType[*refusal](err); ok {
		return no.code
	}
	return 0
}
