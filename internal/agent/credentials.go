package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

// login is a user and a password; empty is the firmware's own default.
type login struct{ username, password string }

// Credentials let a pool's agent in to its machines. They never show in text.
type Credentials struct {
	common login
	// own are those of one firmware; they win over the common ones.
	own map[miner.Firmware]login
}

// String hides what it holds.
func (Credentials) String() string { return "credentials" }

// GoString hides what it holds.
func (Credentials) GoString() string { return "credentials" }

// LoadCredentials reads the files username, password and FIRMWARE.username, FIRMWARE.password from dir.
// A directory that is not there, or empty, means the firmwares' defaults; one that can't be read, or a
// file that can't be a credential, is an error that names the file and never what it holds.
func LoadCredentials(dir string, firmwares []miner.Firmware) (Credentials, error) {
	c := Credentials{own: map[miner.Firmware]login{}}
	if _, err := os.ReadDir(dir); errors.Is(err, fs.ErrNotExist) {
		return c, nil
	} else if err != nil {
		return c, fmt.Errorf("reading the credentials: %w", err)
	}
	var err error
	if c.common, _, err = readLogin(dir, ""); err != nil {
		return c, err
	}
	for _, f := range firmwares {
		own, there, err := readLogin(dir, string(f)+".")
		if err != nil {
			return c, err
		}
		if there {
			c.own[f] = own
		}
	}
	return c, nil
}

func readLogin(dir, prefix string) (l login, there bool, err error) {
	for name, into := range map[string]*string{"username": &l.username, "password": &l.password} {
		text, found, err := readCredential(filepath.Join(dir, prefix+name))
		if err != nil {
			return l, false, err
		}
		*into = text
		there = there || found
	}
	return l, there, nil
}

func readCredential(path string) (string, bool, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading a credential: %w", err)
	}
	text, err := miner.ParseCredential(raw)
	if err != nil {
		return "", false, fmt.Errorf("credential file %s %w", path, err)
	}
	return text, true, nil
}

// OpenFunc is firmwares.Open.
type OpenFunc func(context.Context, miner.Target, miner.Firmware, map[string]int) (miner.Driver, miner.Identity, error)

// Opener lets open in with these credentials. Where a firmware has its own, and which firmware answers
// is found out on the way, a machine may be asked twice.
func (c Credentials) Opener(open OpenFunc) Opener {
	return func(ctx context.Context, addr netip.Addr, firmware miner.Firmware, ports map[string]int) (
		miner.Driver, miner.Identity, error,
	) {
		if own, ok := c.own[firmware]; ok {
			return open(ctx, own.target(addr), firmware, ports)
		}
		driver, id, err := open(ctx, c.common.target(addr), firmware, ports)
		if firmware != miner.Auto && firmware != "" {
			return driver, id, err
		}
		if err == nil {
			if own, ok := c.own[id.Firmware]; ok {
				return open(ctx, own.target(addr), id.Firmware, ports)
			}
			return driver, id, nil
		}
		if !errors.Is(err, miner.ErrUnauthorized) {
			return nil, miner.Identity{}, err
		}
		for f, own := range c.own {
			if driver, id, err := open(ctx, own.target(addr), f, ports); err == nil {
				return driver, id, nil
			}
		}
		return nil, miner.Identity{}, err
	}
}

func (l login) target(addr netip.Addr) miner.Target {
	return miner.Target{Address: addr, Username: l.username, Password: l.password}
}
