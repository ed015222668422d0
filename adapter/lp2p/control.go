package lp2p

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// sessionVersion is the version of docs/sessions.md.
	sessionVersion = 1
	// maxControlSize bounds a control message in bytes, length prefix included.
	maxControlSize = 16 * 1024
	// maxReasonText bounds the text of a Reject or Goodbye in bytes.
	maxReasonText = 256
)

// The kinds of control message are the field numbers of the envelope.
const (
	kindHello   protowire.Number = 1
	kindAccept  protowire.Number = 2
	kindReject  protowire.Number = 3
	kindGoodbye protowire.Number = 4
)

// controlMessage is one of *hello, *accept, *reject and *goodbye.
type controlMessage interface {
	kind() protowire.Number
	appendBody(dst []byte) []byte
}

// hello opens a session; the dialer sends it.
type hello struct {
	version    uint64
	epoch      epoch
	nodeInfo   []byte // encoded types.NodeInfo; aliases the decoded message
	delegation *delegation
}

// accept answers hello.
type accept struct {
	epoch    epoch
	nodeInfo []byte // encoded types.NodeInfo; aliases the decoded message
}

// reject answers hello.
type reject struct {
	code compat.RejectCode
	text string
}

// goodbye ends a session, or answers the goodbye of the other side.
type goodbye struct {
	code   compat.RejectCode
	text   string
	counts []channelCount // sent, or in an answer delivered
	answer bool
}

// channelCount counts the messages of one channel in one direction.
type channelCount struct {
	channel  byte
	messages uint64
}

func (*hello) kind() protowire.Number   { return kindHello }
func (*accept) kind() protowire.Number  { return kindAccept }
func (*reject) kind() protowire.Number  { return kindReject }
func (*goodbye) kind() protowire.Number { return kindGoodbye }

func (m *hello) appendBody(b []byte) []byte {
	b = appendVarint(b, 1, m.version)
	b = appendBytes(b, 2, m.epoch[:])
	b = appendBytes(b, 3, m.nodeInfo)

	if m.delegation == nil {
		return b
	}

	d := appendBytes(nil, 1, m.delegation.key[:])
	d = appendBytes(d, 2, m.delegation.signature[:])
	d = appendVarint(d, 3, m.delegation.expires)

	return appendBytes(b, 4, d)
}

func (m *accept) appendBody(b []byte) []byte {
	return appendBytes(appendBytes(b, 1, m.epoch[:]), 2, m.nodeInfo)
}

func (m *reject) appendBody(b []byte) []byte { return appendReason(b, m.code, m.text) }

func (m *goodbye) appendBody(b []byte) []byte {
	b = appendReason(b, m.code, m.text)
	for _, c := range m.counts {
		b = appendBytes(b, 3, appendVarint(appendVarint(nil, 1, uint64(c.channel)), 2, c.messages))
	}
	if m.answer {
		b = appendVarint(b, 4, 1)
	}

	return b
}

// appendReason appends the fields that reject and goodbye have in common.
func appendReason(b []byte, code compat.RejectCode, text string) []byte {
	b = appendVarint(b, 1, uint64(code))
	if text = reasonText(text); text != "" {
		b = appendBytes(b, 2, []byte(text))
	}

	return b
}

// reasonText cuts the text to its limit and replaces what is not printable ASCII,
// so that a remote's text can go to a log as it is.
func reasonText(text string) string {
	b := []byte(text[:min(len(text), maxReasonText)])
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			b[i] = '?'
		}
	}

	return string(b)
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// appendControl appends a message as it goes on the control stream.
func appendControl(dst []byte, m controlMessage) []byte {
	return wire.AppendSized(dst, appendBytes(nil, m.kind(), m.appendBody(nil)))
}

// readControl reads one message of at most maxControlSize bytes from r. It never
// reads past it. It returns io.EOF when r ends before the message, an error that
// wraps ErrProtocol for bytes that are not a message, else the error of r.
func readControl(r io.Reader) (controlMessage, error) {
	body, err := wire.ReadSized(r, maxControlSize)
	if err != nil {
		return nil, asViolation(err)
	}

	return decodeControl(body)
}

// decodeControl decodes the envelope and its message. The result aliases body.
func decodeControl(body []byte) (controlMessage, error) {
	f := fields{message: "control message", rest: body}
	more, err := f.next()
	if err != nil {
		return nil, err
	}
	if !more {
		return nil, f.fail("empty")
	}

	inner, err := f.bytes()
	if err != nil {
		return nil, err
	}
	kind := f.num
	if more, err = f.next(); err != nil || more {
		return nil, f.fail("more than one message")
	}

	switch kind {
	case kindHello:
		return decodeHello(inner)
	case kindAccept:
		return decodeAccept(inner)
	case kindReject:
		return decodeReject(inner)
	case kindGoodbye:
		return decodeGoodbye(inner)
	default:
		return nil, f.fail(fmt.Sprintf("unknown kind %d", kind))
	}
}
