package control

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// fields walks the fields of one message strictly: in ascending order, none
// twice except repeated, no unknown ones.
type fields struct {
	message  string // for errors
	rest     []byte
	repeated protowire.Number // the field that may occur again; 0 for none
	num      protowire.Number // current field
	typ      protowire.Type
}

// next moves to the next field and reports whether there is one.
func (f *fields) next() (bool, error) {
	if len(f.rest) == 0 {
		return false, nil
	}

	num, typ, n := protowire.ConsumeTag(f.rest)
	switch {
	case n < 0:
		return false, f.fail("bad field key")
	case num < f.num || num == f.num && num != f.repeated:
		return false, f.fail("fields out of order or given twice")
	}
	f.num, f.typ, f.rest = num, typ, f.rest[n:]

	return true, nil
}

// bytes returns the length-delimited value of the current field; it aliases the
// input.
func (f *fields) bytes() ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, f.fail("wrong wire type")
	}

	v, n := protowire.ConsumeBytes(f.rest)
	if n < 0 {
		return nil, f.fail("bad length or cut short")
	}
	f.rest = f.rest[n:]

	return v, nil
}

// fixed fills dst with a value that must have exactly its length.
func (f *fields) fixed(dst []byte) error {
	v, err := f.bytes()
	if err != nil {
		return err
	}
	if len(v) != len(dst) {
		return f.fail(fmt.Sprintf("%d bytes instead of %d", len(v), len(dst)))
	}
	copy(dst, v)

	return nil
}

// varint returns the number of the current field, which must not exceed limit.
func (f *fields) varint(limit uint64) (uint64, error) {
	if f.typ != protowire.VarintType {
		return 0, f.fail("wrong wire type")
	}

	v, n := protowire.ConsumeVarint(f.rest)
	if n < 0 {
		return 0, f.fail("bad number")
	}
	if v > limit {
		return 0, f.fail(fmt.Sprintf("number above %d", limit))
	}
	f.rest = f.rest[n:]

	return v, nil
}

func (f *fields) fail(reason string) error {
	return Violation("%s: field %d: %s", f.message, f.num, reason)
}

func decodeHello(body []byte) (*Hello, error) {
	m, f := new(Hello), fields{message: "Hello", rest: body}
	if err := f.expect(1); err != nil {
		return nil, err
	}

	var err error
	if m.Version, err = f.varint(math.MaxUint64); err != nil {
		return nil, err
	}
	if m.Version != Version {
		return m, nil // what follows is that version's business
	}

	if err := f.expect(2); err != nil {
		return nil, err
	}
	if err := f.fixed(m.Epoch[:]); err != nil {
		return nil, err
	}
	if err := f.expect(3); err != nil {
		return nil, err
	}
	if m.NodeInfo, err = f.bytes(); err != nil || len(f.rest) == 0 {
		return m, err
	}
	if err := f.expect(4); err != nil {
		return nil, err
	}
	if m.Delegation, err = decodeDelegation(&f); err != nil {
		return nil, err
	}

	return m, f.end()
}

func decodeDelegation(outer *fields) (*Delegation, error) {
	body, err := outer.bytes()
	if err != nil {
		return nil, err
	}

	d, f := new(Delegation), fields{message: "delegation", rest: body}
	for _, dst := range [][]byte{d.Key[:], d.Signature[:]} {
		if err := f.expect(f.num + 1); err != nil {
			return nil, err
		}
		if err := f.fixed(dst); err != nil {
			return nil, err
		}
	}
	if err := f.expect(3); err != nil {
		return nil, err
	}
	if d.Expires, err = f.varint(math.MaxUint64); err != nil {
		return nil, err
	}

	return d, f.end()
}

// expect moves to a field that must be the next one.
func (f *fields) expect(num protowire.Number) error {
	more, err := f.next()
	if err != nil {
		return err
	}
	if !more || f.num != num {
		return f.fail(fmt.Sprintf("field %d is missing", num))
	}

	return nil
}

// end checks that no field is left.
func (f *fields) end() error {
	if len(f.rest) > 0 {
		return f.fail("more fields than known")
	}

	return nil
}

func decodeAccept(body []byte) (*Accept, error) {
	m, f := new(Accept), fields{message: "Accept", rest: body}
	if err := f.expect(1); err != nil {
		return nil, err
	}
	if err := f.fixed(m.Epoch[:]); err != nil {
		return nil, err
	}
	if err := f.expect(2); err != nil {
		return nil, err
	}

	var err error
	if m.NodeInfo, err = f.bytes(); err != nil {
		return nil, err
	}

	return m, f.end()
}

func decodeReject(body []byte) (*Reject, error) {
	m, f := new(Reject), fields{message: "Reject", rest: body}
	for {
		more, err := f.next()
		if err != nil {
			return nil, err
		}
		if !more {
			return m, nil
		}
		if err := f.reason(&m.Code, &m.Text); err != nil {
			return nil, err
		}
	}
}

// reason decodes the fields that Reject and Goodbye have in common.
func (f *fields) reason(code *compat.RejectCode, text *string) error {
	switch f.num {
	case 1:
		v, err := f.varint(255)
		*code = compat.RejectCode(v)

		return err
	case 2:
		v, err := f.bytes()
		if err != nil {
			return err
		}
		if len(v) > MaxReasonText {
			return f.fail(fmt.Sprintf("text of %d bytes, limit %d", len(v), MaxReasonText))
		}
		*text = ReasonText(string(v))

		return nil
	default:
		return f.fail("unknown")
	}
}

func decodeGoodbye(body []byte) (*Goodbye, error) {
	m, f := new(Goodbye), fields{message: "Goodbye", rest: body, repeated: 3}
	for {
		more, err := f.next()
		if err != nil {
			return nil, err
		}
		if !more {
			return m, nil
		}

		switch f.num {
		case 3:
			err = m.addCount(&f)
		case 4:
			var v uint64
			v, err = f.varint(1)
			m.Answer = v == 1
		default:
			err = f.reason(&m.Code, &m.Text)
		}
		if err != nil {
			return nil, err
		}
	}
}

// addCount decodes one entry of the counts, which ascend by channel.
func (m *Goodbye) addCount(outer *fields) error {
	body, err := outer.bytes()
	if err != nil {
		return err
	}
	if len(m.Counts) == compat.MaxChannels {
		return outer.fail(fmt.Sprintf("more than %d channels", compat.MaxChannels))
	}

	f := fields{message: "channel count", rest: body}
	if err := f.expect(1); err != nil {
		return err
	}
	channel, err := f.varint(255)
	if err != nil {
		return err
	}
	if err := f.expect(2); err != nil {
		return err
	}
	messages, err := f.varint(math.MaxUint64)
	if err != nil {
		return err
	}
	if n := len(m.Counts); n > 0 && m.Counts[n-1].Channel >= byte(channel) {
		return outer.fail("channels out of order or given twice")
	}
	m.Counts = append(m.Counts, ChannelCount{Channel: byte(channel), Messages: messages})

	return f.end()
}

// asViolation turns an error over malformed framing into a violation and leaves
// errors of the stream as they are.
func asViolation(err error) error {
	var decode *wire.DecodeError
	if errors.Is(err, wire.ErrTooLarge) || errors.As(err, &decode) {
		return Violation("%v", err)
	}

	return err
}
