package whatsminer

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

var (
	errBase64 = errors.New("not base64")
	errBlocks = errors.New("not whole blocks")
)

// seal encrypts block by block, as the machine does: AES-256-ECB, base64. The padding is zeros, or
// PKCS7's.
func seal(key [sha256.Size]byte, plain []byte, pkcs7 bool) string {
	missing := (aes.BlockSize - len(plain)%aes.BlockSize) % aes.BlockSize
	fill := byte(0)
	if pkcs7 {
		missing = aes.BlockSize - len(plain)%aes.BlockSize
		fill = byte(missing)
	}
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{fill}, missing)...)
	block, _ := aes.NewCipher(key[:])
	for i := 0; i < len(out); i += aes.BlockSize {
		block.Encrypt(out[i:], out[i:])
	}
	return base64.StdEncoding.EncodeToString(out)
}

// unseal is its inverse; either padding will do. With another key the result is noise.
func unseal(key [sha256.Size]byte, text string) ([]byte, error) {
	out, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errBase64
	}
	if len(out) == 0 || len(out)%aes.BlockSize != 0 {
		return nil, errBlocks
	}
	block, _ := aes.NewCipher(key[:])
	for i := 0; i < len(out); i += aes.BlockSize {
		block.Decrypt(out[i:], out[i:])
	}
	return unpad(out), nil
}

// unpad takes zeros or PKCS7's padding off; JSON ends in neither.
func unpad(b []byte) []byte {
	n := int(b[len(b)-1])
	if n > 0 && n <= aes.BlockSize && bytes.Count(b[len(b)-n:], []byte{byte(n)}) == n {
		return b[:len(b)-n]
	}
	return bytes.TrimRight(b, "\x00")
}
