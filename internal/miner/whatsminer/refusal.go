package whatsminer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// Codes of API v2, and what a refusal with them means to a caller.
const (
	codeInvalid   = 14
	codeBadJSON   = 23
	codeDenied    = 45
	codeOK        = 131
	codeError     = 132
	codeTokenOK   = 134
	codeTokenBad  = 135
	codeTokenMany = 136
	codeBadBase64 = 137
)

// Codes of API v3.
const (
	v3OK        = 0
	v3Fail      = -1
	v3Invalid   = -2
	v3BadItem   = -3
	v3Denied    = -4
	v3NoMemory  = -5
	hintSwitch  = "its API switch is off: change the admin password and enable the switch in WhatsMinerTool"
	hintAccount = "is the password right?"
)

// refusal is a reply that is no yes.
type refusal struct {
	address netip.AddrPort
	command string
	code    int64
	message string
	// kind is one of miner's errors where the machine surely did nothing, else nil.
	kind error
	hint string
}

// Error never shows what was sent.
func (r *refusal) Error() string {
	text := fmt.Sprintf("%s: %s: code %d %q", r.address, r.command, r.code, r.message)
	if r.kind != nil {
		text += ": " + r.kind.Error()
	}
	if r.hint != "" {
		text += ": " + r.hint
	}
	return text
}

func (r *refusal) Unwrap() error { return r.kind }

// judge makes a code of API v2 mean what it does; sealed says that an order was refused, and not a question.
func (r *refusal) judge(sealed bool) {
	switch r.code {
	case codeInvalid:
		r.kind = miner.ErrUnsupported
	case codeDenied:
		r.kind, r.hint = miner.ErrLocked, hintSwitch
	case codeTokenMany:
		r.kind, r.hint = miner.ErrBusy, "all its tokens are in use, each for half an hour"
	default:
		r.kind = miner.ErrRefused
	}
	// Orders are JSON: a machine that finds none in one has decrypted it with another key.
	if sealed && (r.code == codeBadJSON || r.code == codeTokenBad) {
		r.kind, r.hint = miner.ErrUnauthorized, hintAccount
	}
	if strings.Contains(strings.ToLower(r.message), "over max") {
		r.kind = miner.ErrBusy
	}
}

// judgeV3 does so for a code of API v3. A code that is none, or that the manual does not
// name, leaves open what was done.
func (r *refusal) judgeV3() {
	switch r.code {
	case v3Denied:
		r.kind, r.hint = miner.ErrLocked, hintSwitch
	case v3Invalid:
		r.kind = miner.ErrUnsupported
	case v3Fail, v3BadItem, v3NoMemory:
		r.kind = miner.ErrRefused
	default:
		return
	}
	if said := strings.ToLower(r.message); r.code != v3Denied && slices.ContainsFunc(loginWords, func(word string) bool { return strings.Contains(said, word) }) {
		r.kind, r.hint = miner.ErrUnauthorized, hintAccount
	}
}

// loginWords are in what API v3 says of a token that is not as it should be; only the first was seen.
var loginWords = []string{"token", "password", "account"}

// without takes a secret out of what a machine says, which may be what it was told.
func without(secret, text string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, "…")
}

// silent forgives a machine that is there and does not give what a reading can do without: it says no, or
// something unreadable, or hangs up.
func silent(err error) bool {
	var no *refusal
	return errors.As(err, &no) || wire.Unreadable(err)
}
