package wire

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of an Any (docs/wire.md §2).
const (
	anyTypeURL protowire.Number = 1
	anyValue   protowire.Number = 2
)

// decodeAny decodes an Any. name is the part of the type URL after its last
// slash. name and value alias body.
func decodeAny(message string, body []byte) (name, value []byte, err error) {
	r := newFieldReader(message, body, 0)
	hasURL := false

	err = r.each(func() (err error) {
		switch r.num {
		case anyTypeURL:
			hasURL = true
			if name, err = r.bytes("type URL"); err == nil {
				name, err = typeName(&r, name)
			}
		case anyValue:
			value, err = r.bytes("value")
		default:
			err = r.unknown()
		}

		return err
	})

	switch {
	case err != nil:
		return nil, nil, err
	case len(body) == 0:
		return nil, nil, r.fail("", "empty message")
	case !hasURL:
		return nil, nil, r.fail("", "does not start with a type URL")
	default:
		return name, value, nil
	}
}

// typeName checks a type URL and returns the part after its last slash.
func typeName(r *fieldReader, url []byte) ([]byte, error) {
	if len(url) == 0 {
		return nil, r.fail("type URL", "empty")
	}

	for _, c := range url {
		if c < 0x20 || c > 0x7e {
			return nil, r.fail("type URL", "not printable ASCII")
		}
	}

	slash := bytes.LastIndexByte(url, '/')
	if slash < 0 {
		return nil, r.fail("type URL", "without a slash")
	}

	return url[slash+1:], nil
}

// noFields refuses a non-empty value of a message that has no fields.
func noFields(message string, value []byte) error {
	if len(value) == 0 {
		return nil
	}

	return &DecodeError{Message: message, Field: "value", Reason: "unknown field"}
}

// appendAny appends an Any with the type URL and value.
func appendAny(dst []byte, url string, value []byte) []byte {
	dst = appendField(dst, anyTypeURL, url)

	return appendField(dst, anyValue, value)
}
