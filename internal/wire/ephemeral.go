package wire

import "google.golang.org/protobuf/encoding/protowire"

const (
	ephemeralMessage = "ephemeral message"

	// onlyKey is the key's field in messages without another field: the ephemeral
	// message and the value of a typed key.
	onlyKey protowire.Number = 1
)

// AppendEphemeral appends the sized ephemeral message, 35 bytes, ready to send
// (docs/wire.md §3.1).
func AppendEphemeral(dst []byte, pub [32]byte) []byte {
	dst = append(dst, 2+byte(len(pub))) // size prefix: key, length and 32 bytes

	return appendField(dst, onlyKey, pub[:])
}

// DecodeEphemeral returns the X25519 public key of an ephemeral message body. It
// does not check for points of low order.
func DecodeEphemeral(body []byte) ([32]byte, error) {
	return decodeOnlyKey(ephemeralMessage, body)
}

// decodeOnlyKey decodes a message that consists of a 32-byte key in field 1.
func decodeOnlyKey(message string, body []byte) (key [32]byte, err error) {
	r := newFieldReader(message, body, 0)

	err = r.each(func() error {
		if r.num != onlyKey {
			return r.unknown()
		}

		return r.fixed("public key", key[:])
	})

	switch {
	case err != nil:
		return [32]byte{}, err
	case len(body) == 0:
		return [32]byte{}, r.fail("public key", "missing")
	default:
		return key, nil
	}
}
