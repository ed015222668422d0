package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// Digest identifies the content of a message.
type Digest struct {
	Length int
	SHA256 string // hex
}

// DigestOf returns the digest of a message.
func DigestOf(msg []byte) Digest {
	sum := sha256.Sum256(msg)

	return Digest{Length: len(msg), SHA256: hex.EncodeToString(sum[:])}
}

// Payload returns message index of a batch. Its size bytes depend on all three arguments, so
// that a truncated, swapped or repeated message is detected.
func Payload(seed uint64, index, size int) []byte {
	var key [24]byte
	binary.BigEndian.PutUint64(key[0:], seed)
	binary.BigEndian.PutUint64(key[8:], uint64(index))
	binary.BigEndian.PutUint64(key[16:], uint64(size))
	msg := make([]byte, size)
	// The generator's own Read never fails.
	_, _ = rand.NewChaCha8(sha256.Sum256(key[:])).Read(msg)

	return msg
}
