package whatsminer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	md5crypt "github.com/GehirnInc/crypt/md5_crypt"

	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

// The ciphers below are the vendor's choice: md5crypt for the password and AES without chaining. They keep
// nobody out who listens to the wire; docs/firmware.md says so.

// token lets one client of API v2 in: what it signs its orders with, and the cipher of both directions.
type token struct {
	sign  string
	block cipher.Block
}

// challenge is a machine's answer to get_token.
type challenge struct {
	Time    wire.Text `json:"time"`
	Salt    wire.Text `json:"salt"`
	NewSalt wire.Text `json:"newsalt"`
}

// answer works the token out as section 2.2 of the API v2 manual says.
func (c challenge) answer(password string) (*token, error) {
	key, err := crypted(password, string(c.Salt))
	if err != nil {
		return nil, err
	}
	// The manual takes the last four digits of the time; some firmwares send all of it.
	last := string(c.Time)
	last = last[max(len(last)-4, 0):]
	sign, err := crypted(key+last, string(c.NewSalt))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(key))
	block, err := aes.NewCipher(sum[:])
	return &token{sign: sign, block: block}, err
}

// longestSalt is above what md5crypt heeds of a salt, 8 characters.
const longestSalt = 16

// crypted is the last part of md5crypt's "$1$SALT$HASH".
func crypted(text, salt string) (string, error) {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if salt == "" || len(salt) > longestSalt || strings.Trim(salt, alphabet) != "" {
		return "", errors.New("the machine gave no usable salt")
	}
	whole, err := md5crypt.New().Generate([]byte(text), []byte(md5crypt.MagicPrefix+salt))
	if err != nil {
		return "", fmt.Errorf("md5crypt: %w", err)
	}
	return whole[strings.LastIndexByte(whole, '$')+1:], nil
}

// seal encrypts an order. Zero padding is what recorded machines use themselves.
func (t *token) seal(plain []byte) string {
	if rest := len(plain) % aes.BlockSize; rest > 0 {
		plain = append(plain, make([]byte, aes.BlockSize-rest)...)
	}
	sealed := make([]byte, len(plain))
	for i := 0; i < len(plain); i += aes.BlockSize {
		t.block.Encrypt(sealed[i:], plain[i:])
	}
	return base64.StdEncoding.EncodeToString(sealed)
}

// errSealed: an encrypted reply that does not decrypt to JSON.
var errSealed = errors.New("its encrypted reply can't be read; is the password right?")

// open decrypts a reply and takes the JSON value it begins with, so that zeros and PKCS #7 both are no part
// of it.
func (t *token) open(sealed string) ([]byte, error) {
	plain, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(plain) == 0 || len(plain)%aes.BlockSize != 0 {
		return nil, errSealed
	}
	for i := 0; i < len(plain); i += aes.BlockSize {
		t.block.Decrypt(plain[i:], plain[i:])
	}
	reply, err := wire.ReadReply(bytes.NewReader(plain))
	if err != nil || reply[0] != '{' {
		return nil, errSealed
	}
	return reply, nil
}

// tokenV3 signs one order of API v3; at is the machine's own time.
func tokenV3(command, password, salt string, at int64) string {
	sum := sha256.Sum256([]byte(command + password + salt + strconv.FormatInt(at, 10)))
	return base64.StdEncoding.EncodeToString(sum[:])[:8]
}
