package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// fieldReader walks the fields of one message body and enforces the rules for
// all messages (docs/wire.md §2, strict profile).
type fieldReader struct {
	message  string // for errors
	rest     []byte // bytes not yet read
	repeated protowire.Number
	num      protowire.Number // current field; 0 before the first
	typ      protowire.Type
}

// newFieldReader returns a reader for body. repeated is the number of the only
// field that may occur more than once, 0 for none.
func newFieldReader(message string, body []byte, repeated protowire.Number) fieldReader {
	return fieldReader{message: message, rest: body, repeated: repeated}
}

// next moves to the next field and reports whether there is one.
func (r *fieldReader) next() (bool, error) {
	if len(r.rest) == 0 {
		return false, nil
	}

	num, typ, n := protowire.ConsumeTag(r.rest)
	if n < 0 {
		return false, r.fail("", "bad field key")
	}

	if !num.IsValid() {
		return false, r.fail("", "field number out of range")
	}

	if num < r.num {
		return false, r.fail("", "fields not in ascending order")
	}

	if num == r.num && num != r.repeated {
		return false, r.fail("", "field given twice")
	}

	r.num, r.typ, r.rest = num, typ, r.rest[n:]

	return true, nil
}

// each calls decode for every field of the message, until one fails.
func (r *fieldReader) each(decode func() error) error {
	for {
		ok, err := r.next()
		if err != nil || !ok {
			return err
		}

		if err := decode(); err != nil {
			return err
		}
	}
}

// bytes returns the length-delimited value of the current field. It aliases the
// input.
func (r *fieldReader) bytes(field string) ([]byte, error) {
	if r.typ != protowire.BytesType {
		return nil, r.fail(field, "wrong wire type")
	}

	value, n := protowire.ConsumeBytes(r.rest)
	if n < 0 {
		return nil, r.fail(field, "bad length or cut short")
	}

	r.rest = r.rest[n:]

	return value, nil
}

// fixed copies the length-delimited value of the current field to dst. It must be as
// long as dst.
func (r *fieldReader) fixed(field string, dst []byte) error {
	value, err := r.bytes(field)
	if err != nil {
		return err
	}

	if len(value) != len(dst) {
		return r.fail(field, fmt.Sprintf("not %d bytes long", len(dst)))
	}

	copy(dst, value)

	return nil
}

// str returns a copy of the length-delimited value of the current field. Like the
// original, it does not check for UTF-8.
func (r *fieldReader) str(field string) (string, error) {
	value, err := r.bytes(field)

	return string(value), err
}

// uint8 returns the 8-bit number of the current field.
func (r *fieldReader) uint8(field string) (uint8, error) {
	if r.typ != protowire.VarintType {
		return 0, r.fail(field, "wrong wire type")
	}

	value, n := protowire.ConsumeVarint(r.rest)
	if n < 0 {
		return 0, r.fail(field, "bad number")
	}

	if value > 0xff {
		return 0, r.fail(field, "number above 255")
	}

	r.rest = r.rest[n:]

	return uint8(value), nil
}

// boolean returns the boolean of the current field. Unlike other varints it must
// be a single byte, 0 or 1.
func (r *fieldReader) boolean(field string) (bool, error) {
	if r.typ != protowire.VarintType {
		return false, r.fail(field, "wrong wire type")
	}

	if len(r.rest) == 0 || r.rest[0] > 1 {
		return false, r.fail(field, "boolean neither 0 nor 1")
	}

	value := r.rest[0] == 1
	r.rest = r.rest[1:]

	return value, nil
}

// unknown returns the error for a field that the message does not have.
func (r *fieldReader) unknown() error { return r.fail("", "unknown field") }

func (r *fieldReader) fail(field, reason string) error {
	return &DecodeError{Message: r.message, Field: field, Reason: reason}
}

// appendField appends a length-delimited field, or nothing for an empty value.
func appendField[T string | []byte](dst []byte, num protowire.Number, value T) []byte {
	if len(value) == 0 {
		return dst
	}

	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(len(value)))

	return append(dst, value...)
}

// stringFieldSize returns how many bytes appendField adds.
func stringFieldSize(num protowire.Number, value string) int {
	if value == "" {
		return 0
	}

	return protowire.SizeTag(num) + protowire.SizeBytes(len(value))
}
