package whatsminer

import "github.com/counterweight-dev/counterweight/internal/minersim"

// The tests' own client needs the machine's arithmetic, which TestVectors pins.
var (
	MD5Crypt = md5crypt
	Seal     = seal
	Unseal   = unseal
	TokenV3  = tokenV3
)

// What the fuzz tests ask without a network.
var (
	Answer2   = func(d *minersim.Device, raw []byte) []byte { return NewV2().answer(d, raw).out }
	Answer3   = func(d *minersim.Device, raw []byte) []byte { return NewV3().answer(d, raw).out }
	ReadFrame = readFrame
)
