package whatsminer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
	"github.com/counterweight-dev/counterweight/internal/minersim/whatsminer"
)

// unplugged is the fleet without a network.
func unplugged(f *testing.F) []*minersim.Device {
	file, err := minersim.ParseFleet([]byte(strings.ReplaceAll(fleet, "BASE", simtest.Base())))
	if err != nil {
		f.Fatal(err)
	}
	site, err := minersim.NewFleet(file, map[string]minersim.Front{
		"WhatsMinerV2": whatsminer.NewV2(), "WhatsMinerV3": whatsminer.NewV3(),
	}, simtest.NewClock())
	if err != nil {
		f.Fatal(err)
	}
	return site.Devices
}

// FuzzRequests: whatever comes, a machine says something that is JSON, and goes on hashing: nobody
// guesses a token.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"cmd":"summary"}`, `{"command":"summary+edevs+x"}`, `{"cmd":["summary"]}`, `{"enc":1,"data":"QUFBQUFBQUFBQUFBQUFBQQ=="}`,
		`{"enc":{},"data":7}`, `{"cmd":"get_token"}`, `{"cmd":"power_off"}`, `{"cmd":"get.device.info","param":{"salt":1}}`,
		`{"cmd":"get.miner.status","param":"summary+"}`, `{"cmd":"set.miner.service","param":"stop","ts":1e300,"token":[],"account":"super"}`,
	} {
		f.Add([]byte(seed))
	}
	devices := unplugged(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if out := whatsminer.Answer2(devices[v2], raw); !json.Valid(out) {
			t.Errorf("API v2: %q", out)
		}
		if out := whatsminer.Answer3(devices[v3], raw); !json.Valid(out) {
			t.Errorf("API v3: %q", out)
		}
		_ = whatsminer.Answer2(devices[v2quirks], raw)
		if devices[v2].Truth().State != minersim.Hashing || devices[v3].Truth().State != minersim.Hashing {
			t.Errorf("%q moved a machine", raw)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	key := sha256.Sum256([]byte("k"))
	f.Add(whatsminer.Seal(key, []byte("x"), true))
	f.Add(strings.Repeat("A", 64))
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := whatsminer.Unseal(key, text)
		if err == nil && len(plain) > len(text) {
			t.Errorf("%d bytes of %d", len(plain), len(text))
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, '{', '}'})
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, in []byte) {
		body, err := whatsminer.ReadFrame(bytes.NewReader(in))
		if err == nil && (len(body) == 0 || len(body) > 16<<10 || !bytes.Equal(body, in[4:4+len(body)])) {
			t.Errorf("%q of %q", body, in)
		}
	})
}
