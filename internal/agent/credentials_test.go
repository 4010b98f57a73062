package agent

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/miner"
)

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCredentialsOfAFirmwareWin(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"username": "common\n", "password": "secret 1\r\n", "LuxOS.username": "lux", "LuxOS.password": "secret 2",
	})
	c, err := LoadCredentials(dir, []miner.Firmware{miner.BraiinsOS, miner.LuxOS})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(text, "secret") {
		t.Errorf("credentials show: %s", text)
	}
	// A house with both firmwares; LuxOS is let in only with its own credentials.
	var tried []string
	open := c.Opener(func(_ context.Context, target miner.Target, f miner.Firmware, _ map[string]int) (miner.Driver, miner.Identity, error) {
		tried = append(tried, fmt.Sprintf("%s %s:%s", f, target.Username, target.Password))
		last := target.Address.As4()[3]
		is := map[byte]miner.Firmware{1: miner.BraiinsOS, 2: miner.LuxOS, 3: miner.LuxOS}[last]
		if is == "" {
			return nil, miner.Identity{}, miner.ErrUnreachable
		}
		if last == 3 && target.Username != "lux" {
			return nil, miner.Identity{}, miner.ErrUnauthorized
		}
		return nil, miner.Identity{Firmware: is}, nil
	})
	for name, c := range map[string]struct {
		last     byte
		firmware miner.Firmware
		want     string
	}{
		"common":                   {1, miner.Auto, "[Auto common:secret 1]"},
		"own, found on the way":    {2, miner.Auto, "[Auto common:secret 1 LuxOS lux:secret 2]"},
		"own, after a refusal":     {3, miner.Auto, "[Auto common:secret 1 LuxOS lux:secret 2]"},
		"own, named":               {2, miner.LuxOS, "[LuxOS lux:secret 2]"},
		"common, named":            {1, miner.BraiinsOS, "[BraiinsOS common:secret 1]"},
		"nobody there: asked once": {9, miner.Auto, "[Auto common:secret 1]"},
	} {
		tried = nil
		_, _, err := open(t.Context(), netip.AddrFrom4([4]byte{10, 0, 0, c.last}), c.firmware, nil)
		if got := fmt.Sprint(tried); got != c.want || (err == nil) != (c.last != 9) {
			t.Errorf("%s: tried %s, want %s: %v", name, got, c.want, err)
		}
	}
}

func TestCredentialsMayBeMissingButNotBroken(t *testing.T) {
	if _, err := LoadCredentials(filepath.Join(t.TempDir(), "none"), nil); err != nil {
		t.Errorf("no directory: %v", err)
	}
	for name, text := range map[string]string{
		"two lines": "secret\nmore", "nul": "secret\x00", "binary": "secret\xff", "long": "secret" + strings.Repeat("x", 256),
		"empty": "", "only a newline": "\n",
	} {
		_, err := LoadCredentials(writeFiles(t, map[string]string{"password": text}), nil)
		if err == nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadCredentials(filepath.Join(writeFiles(t, map[string]string{"a": ""}), "a"), nil); err == nil {
		t.Error("a file was read as a directory")
	}
}
