package sealminer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

const (
	// webBelow is how far under the RPC the web pages are served: 4028 and 80.
	webBelow = Port - 80

	// defaultUser and defaultPassword are the firmware's own.
	defaultUser     = "seal"
	defaultPassword = "seal"
)

// web is what the RPC has no order for: a reboot.
type web struct {
	wire.Client
	user, password string
}

func newWeb(t miner.Target) *web {
	port := max(cmp.Or(t.SecondPort, cmp.Or(t.Port, Port)-webBelow),
		// there is none; nothing can be there
		0)
	w := &web{user: cmp.Or(t.Username, defaultUser), password: cmp.Or(t.Password, defaultPassword)}
	w.Client = wire.Client{
		Address: netip.AddrPortFrom(t.Address, uint16(port)),
		Root:    "/cgi-bin/",
		Login:   w.login,
		Show: func(header http.Header, session string) {
			header.Set("Cookie", strings.ReplaceAll(session, ";", "; "))
		},
	}
	return w
}

// login opens a session, which is a cookie. A wrong password is answered by a state that is not 0, with a cookie
// all the same.
func (w *web) login(ctx context.Context) (string, error) {
	reply, err := w.Exchange(ctx, wire.Request{
		Method: http.MethodPost, Path: "login.php",
		Header: http.Header{
			"Content-Type":     {"application/x-www-form-urlencoded; charset=UTF-8"},
			"X-Requested-With": {"XMLHttpRequest"},
		},
		Body: []byte(url.Values{"username": {w.user}, "origin_pwd": {w.password}}.Encode()),
	})
	if err != nil {
		return "", err
	}
	if err := w.Verdict(wire.Request{Method: http.MethodPost, Path: "login.php"}, reply.Status); err != nil {
		return "", err
	}
	var said struct {
		State wire.Number `json:"state"`
	}
	_ = wire.Decode(reply.Body, &said)
	if said.State.Set && said.State.Value != 0 {
		return "", fmt.Errorf("%s: login.php: %w", w.Address, miner.ErrUnauthorized)
	}
	return cookies(reply.Header), nil
}

// admitted says whether the pages let us in. It changes nothing.
func (w *web) admitted(ctx context.Context) error {
	err := w.Enter(ctx)
	if err != nil && !miner.NotApplied(err) {
		err = fmt.Errorf("%s: login.php: %w: its pages give no clear answer: %v", w.Address, miner.ErrRefused, err) //nolint:errorlint // nothing was told
	}
	return err
}

// maxCookies bounds a session; one was seen.
const maxCookies = 8

// cookies of a reply, without their attributes and without spaces.
func cookies(header http.Header) string {
	var all []string
	for _, line := range header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		if pair = strings.TrimSpace(pair); strings.Contains(pair, "=") && len(all) < maxCookies {
			all = append(all, pair)
		}
	}
	return strings.Join(all, ";")
}

// reboot is sent as a POST, and as a GET to a machine that takes no POST: both were seen to work.
func (w *web) reboot(ctx context.Context) error {
	_, err := w.Do(ctx, wire.Request{Method: http.MethodPost, Path: "reboot.php"})
	if errors.Is(err, miner.ErrUnsupported) {
		_, err = w.Do(ctx, wire.Request{Path: "reboot.php"})
	}
	return err
}
