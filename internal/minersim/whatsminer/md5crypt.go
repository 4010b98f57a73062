package whatsminer

import "crypto/md5" //nolint:gosec // md5crypt is what the machine speaks

const (
	magic      = "$1$"
	rounds     = 1000
	saltLength = 8
	alphabet   = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// md5crypt is the last field of crypt(3)'s $1$ hash: 22 characters.
func md5crypt(password, salt string) string {
	salt = salt[:min(saltLength, len(salt))]
	inner := md5.Sum([]byte(password + salt + password)) //nolint:gosec // see above
	seed := []byte(password + magic + salt)
	for n := len(password); n > 0; n -= len(inner) {
		seed = append(seed, inner[:min(n, len(inner))]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 {
			seed = append(seed, 0)
		} else {
			seed = append(seed, password[0])
		}
	}
	sum := md5.Sum(seed) //nolint:gosec // see above
	for i := range rounds {
		sum = md5.Sum(turn(i, password, salt, sum[:])) //nolint:gosec // see above
	}
	return spell(sum)
}

// turn is what round i hashes.
func turn(i int, password, salt string, sum []byte) []byte {
	var in []byte
	if i%2 == 1 {
		in = append(in, password...)
	} else {
		in = append(in, sum...)
	}
	if i%3 != 0 {
		in = append(in, salt...)
	}
	if i%7 != 0 {
		in = append(in, password...)
	}
	if i%2 == 1 {
		return append(in, sum...)
	}
	return append(in, password...)
}

// spell writes a sum in crypt's own base 64: six bits at a time from the low end of three bytes
// that do not lie side by side.
func spell(sum [md5.Size]byte) string {
	out := make([]byte, 0, 22)
	put := func(v uint32, n int) {
		for range n {
			out = append(out, alphabet[v&0x3f])
			v >>= 6
		}
	}
	for _, at := range [5][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		put(uint32(sum[at[0]])<<16|uint32(sum[at[1]])<<8|uint32(sum[at[2]]), 4)
	}
	put(uint32(sum[11]), 2)
	return string(out)
}
