package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	authMessage = "auth message"

	authKey       protowire.Number = 1
	authSignature protowire.Number = 2

	typedKeyName = "tm.PubKeyEd25519"
	typedKeyURL  = "/" + typedKeyName
)

// ErrKeyType is wrapped by the error of [DecodeAuth], beside a [*DecodeError],
// when the key is a well-formed Any of another type than Ed25519.
var ErrKeyType = errors.New("wire: key of an unknown type")

// AuthForm is the encoding of the public key in an auth message. It differs
// between the dialects of TM2 (docs/wire.md §1.2).
type AuthForm uint8

// The two forms of an auth message.
const (
	AuthPlain AuthForm = iota // 32 plain bytes: dialect C
	AuthTyped                 // an Any with a type URL: dialects A and B
)

// Auth is the content of an auth message (docs/wire.md §3.4): an Ed25519 public
// key and a signature by that key over the challenge.
type Auth struct {
	PublicKey [32]byte
	Signature [64]byte
	Form      AuthForm
}

// AppendAuth appends the sized auth message in the form a.Form: 101 bytes plain,
// 124 bytes typed.
func AppendAuth(dst []byte, a Auth) []byte {
	var buf [124]byte

	body := buf[:0]
	if a.Form == AuthTyped {
		body = appendTypedKey(body, a.PublicKey)
	} else {
		body = appendField(body, authKey, a.PublicKey[:])
	}

	return AppendSized(dst, appendField(body, authSignature, a.Signature[:]))
}

func appendTypedKey(dst []byte, key [32]byte) []byte {
	var valueBuf, anyBuf [64]byte

	value := appendField(valueBuf[:0], onlyKey, key[:])

	return appendField(dst, authKey, appendAny(anyBuf[:0], typedKeyURL, value))
}

// DecodeAuth decodes an auth message body in either form. It refuses a message
// that lacks a key or a signature, a key that is not Ed25519 ([ErrKeyType]), and
// a signature that is not 64 bytes long. It does not verify the signature.
func DecodeAuth(body []byte) (Auth, error) {
	var (
		a                 Auth
		hasKey, hasSigned bool
		r                 = newFieldReader(authMessage, body, 0)
	)

	err := r.each(func() error {
		switch r.num {
		case authKey:
			hasKey = true

			return a.decodeKey(&r)
		case authSignature:
			hasSigned = true

			return r.fixed("signature", a.Signature[:])
		default:
			return r.unknown()
		}
	})
	if err != nil {
		return Auth{}, err
	}

	if !hasKey {
		return Auth{}, r.fail("public key", "missing")
	}

	if !hasSigned {
		return Auth{}, r.fail("signature", "missing")
	}

	return a, nil
}

// decodeKey reads the key in either form. An Any that holds a key is longer than
// 32 bytes, so the length alone tells the form.
func (a *Auth) decodeKey(r *fieldReader) error {
	value, err := r.bytes("public key")
	if err != nil {
		return err
	}

	if len(value) == len(a.PublicKey) {
		a.Form, a.PublicKey = AuthPlain, [32]byte(value)

		return nil
	}

	a.PublicKey, err = decodeTypedKey(value)
	a.Form = AuthTyped

	return err
}

func decodeTypedKey(body []byte) ([32]byte, error) {
	const message = authMessage + ": typed key"

	name, value, err := decodeAny(message, body)
	if err != nil {
		return [32]byte{}, err
	}

	if string(name) != typedKeyName {
		err := &DecodeError{Message: message, Field: "type URL", Reason: "not an Ed25519 public key"}

		return [32]byte{}, fmt.Errorf("%w: %w", ErrKeyType, err)
	}

	return decodeOnlyKey(message, value)
}
