package control

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// fields reads the fields of one message strictly: they ascend, only the repeated one
// may occur more than once, and unknown ones are errors. After the first error, which
// err keeps, all values are zero.
type fields struct {
	message  string // for errors
	rest     []byte
	repeated protowire.Number // the field that may occur again; 0 for none
	num      protowire.Number // current field
	typ      protowire.Type
	err      error
}

// next moves to the next field and reports whether there is one.
func (f *fields) next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.rest)
	switch {
	case n < 0:
		return f.fail("bad field key")
	case num < f.num || num == f.num && num != f.repeated:
		return f.fail("fields out of order or given twice")
	}
	f.num, f.typ, f.rest = num, typ, f.rest[n:]

	return true
}

// expect moves to a field that must be the next one.
func (f *fields) expect(num protowire.Number) *fields {
	if !f.next() || f.num != num {
		f.fail("field %d is missing", num)
	}

	return f
}

// bytes returns the length-delimited value of the current field; it aliases the
// input.
func (f *fields) bytes() []byte {
	v, n := protowire.ConsumeBytes(f.rest)
	switch {
	case f.err != nil:
		return nil
	case f.typ != protowire.BytesType:
		f.fail("wrong wire type")

		return nil
	case n < 0:
		f.fail("bad length or cut short")

		return nil
	}
	f.rest = f.rest[n:]

	return v
}

// fixed fills dst with a value that must have exactly its length.
func (f *fields) fixed(dst []byte) {
	if v := f.bytes(); len(v) != len(dst) {
		f.fail("%d bytes instead of %d", len(v), len(dst))
	} else {
		copy(dst, v)
	}
}

// host returns the host that the current field names.
func (f *fields) host() netip.Prefix {
	v := f.bytes()
	switch len(v) {
	case 4:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(v)), 32)
	case 8:
		return netip.PrefixFrom(netip.AddrFrom16([16]byte(append(v[:8:8], make([]byte, 8)...))), 64)
	default:
		f.fail("%d bytes instead of 4 or 8", len(v))

		return netip.Prefix{}
	}
}

// varint returns the number of the current field, which must not exceed limit.
func (f *fields) varint(limit uint64) uint64 {
	v, n := protowire.ConsumeVarint(f.rest)
	switch {
	case f.err != nil:
		return 0
	case f.typ != protowire.VarintType:
		f.fail("wrong wire type")

		return 0
	case n < 0:
		f.fail("bad number")

		return 0
	case v > limit:
		f.fail("number above %d", limit)

		return 0
	}
	f.rest = f.rest[n:]

	return v
}

// end returns the first error; fields that are left are one.
func (f *fields) end() error {
	if len(f.rest) > 0 {
		f.fail("more fields than known")
	}

	return f.err
}

// fail notes an error unless there is one already. It returns false.
func (f *fields) fail(format string, args ...any) bool {
	if f.err == nil {
		f.err = Violation("%s: field %d: %s", f.message, f.num, fmt.Sprintf(format, args...))
	}

	return false
}

// Decode decodes the envelope and its message. The result aliases body.
func Decode(body []byte) (Message, error) {
	f := fields{message: "control message", rest: body}
	if !f.next() {
		f.fail("empty")
	}
	inner := f.bytes()
	if err := f.end(); err != nil {
		return nil, err
	}

	switch f.num {
	case KindHello:
		return decodeHello(fields{message: "Hello", rest: inner})
	case kindAccept:
		return decodeAccept(fields{message: "Accept", rest: inner})
	case KindReject:
		return decodeReject(fields{message: "Reject", rest: inner})
	case kindGoodbye:
		return decodeGoodbye(fields{message: "Goodbye", rest: inner, repeated: 3})
	default:
		f.fail("unknown kind %d", f.num)

		return nil, f.err
	}
}

func decodeHello(f fields) (Message, error) {
	m := &Hello{Version: f.expect(1).varint(math.MaxUint64)}
	if f.err == nil && m.Version != Version && m.Version != HostVersion {
		return m, nil // the rest is in the form of that version
	}
	f.expect(2).fixed(m.Epoch[:])
	m.NodeInfo = f.expect(3).bytes()
	if len(f.rest) > 0 || m.Version == HostVersion {
		m.Delegation = decodeDelegation(f.expect(4), m.Version)
	}

	return m, f.end()
}

func decodeDelegation(outer *fields, version uint64) *Delegation {
	d, f := new(Delegation), fields{message: "delegation", rest: outer.bytes(), err: outer.err}
	f.expect(1).fixed(d.Key[:])
	f.expect(2).fixed(d.Signature[:])
	d.Expires = f.expect(3).varint(math.MaxUint64)
	if version == HostVersion {
		d.Host = f.expect(4).host()
	}
	outer.err = f.end()

	return d
}

func decodeAccept(f fields) (Message, error) {
	m := new(Accept)
	f.expect(1).fixed(m.Epoch[:])
	m.NodeInfo = f.expect(2).bytes()

	return m, f.end()
}

func decodeReject(f fields) (Message, error) {
	m := new(Reject)
	for f.next() {
		f.reason(&m.Code, &m.Text)
	}

	return m, f.end()
}

// reason decodes the fields that Reject and Goodbye have in common.
func (f *fields) reason(code *compat.RejectCode, text *string) {
	switch f.num {
	case 1:
		*code = compat.RejectCode(f.varint(math.MaxUint8))
	case 2:
		v := f.bytes()
		if len(v) > MaxReasonText {
			f.fail("text of %d bytes, limit %d", len(v), MaxReasonText)
		}
		*text = reasonText(string(v))
	default:
		f.fail("unknown")
	}
}

func decodeGoodbye(f fields) (Message, error) {
	m := new(Goodbye)
	for f.next() {
		switch f.num {
		case 3:
			m.addCount(&f)
		case 4:
			m.Answer = f.varint(1) == 1
		default:
			f.reason(&m.Code, &m.Text)
		}
	}

	return m, f.end()
}

// addCount decodes one entry of the counts, which ascend by channel.
func (m *Goodbye) addCount(outer *fields) {
	f := fields{message: "channel count", rest: outer.bytes(), err: outer.err}
	count := ChannelCount{Channel: byte(f.expect(1).varint(math.MaxUint8)), Messages: f.expect(2).varint(math.MaxUint64)}
	outer.err = f.end()
	switch n := len(m.Counts); {
	case n == compat.MaxChannels:
		outer.fail("more than %d channels", compat.MaxChannels)
	case n > 0 && m.Counts[n-1].Channel >= count.Channel:
		outer.fail("channels out of order or given twice")
	default:
		m.Counts = append(m.Counts, count)
	}
}

// asViolation makes an error over malformed framing a violation; errors of the stream
// stay as they are.
func asViolation(err error) error {
	var decode *wire.DecodeError
	if errors.Is(err, wire.ErrTooLarge) || errors.As(err, &decode) {
		return Violation("%v", err)
	}

	return err
}
