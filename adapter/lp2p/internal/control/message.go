package control

import (
	"io"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// Version is the version of docs/sessions.md, and HostVersion that of a Hello whose
	// delegation names a host. Listeners that know Version alone refuse the latter, and say
	// so, where an unknown field would be a violation.
	Version     = 1
	HostVersion = 2
	// MaxSize bounds a control message in bytes, length prefix included.
	MaxSize = 16 * 1024
	// MaxReasonText bounds the text of a Reject or Goodbye in bytes.
	MaxReasonText = 256
)

// The kinds of control message are the field numbers of the envelope.
const (
	KindHello   protowire.Number = 1
	kindAccept  protowire.Number = 2
	KindReject  protowire.Number = 3
	kindGoodbye protowire.Number = 4
)

// Message is one of *Hello, *Accept, *Reject and *Goodbye. AppendBody appends its fields.
type Message interface {
	Kind() protowire.Number
	AppendBody(dst []byte) []byte
}

// Hello opens a session; the dialer sends it.
type Hello struct {
	Version    uint64
	Epoch      Epoch
	NodeInfo   []byte // encoded types.NodeInfo; aliases the decoded message
	Delegation *Delegation
}

// Accept answers a Hello.
type Accept struct {
	Epoch    Epoch
	NodeInfo []byte // encoded types.NodeInfo; aliases the decoded message
}

// Reject answers a Hello.
type Reject struct {
	Code compat.RejectCode
	Text string
}

// Goodbye ends a session, or answers the Goodbye of the other side.
type Goodbye struct {
	Code   compat.RejectCode
	Text   string
	Counts []ChannelCount // messages sent; in an answer, messages delivered
	Answer bool
}

// ChannelCount counts the messages of one channel in one direction.
type ChannelCount struct {
	Channel  byte
	Messages uint64
}

// Counts lists the channels with messages, in ascending order.
func Counts(messages map[byte]uint64) (counts []ChannelCount) {
	for _, channel := range slices.Sorted(maps.Keys(messages)) {
		if n := messages[channel]; n > 0 {
			counts = append(counts, ChannelCount{Channel: channel, Messages: n})
		}
	}

	return counts
}

func (*Hello) Kind() protowire.Number   { return KindHello }
func (*Accept) Kind() protowire.Number  { return kindAccept }
func (*Reject) Kind() protowire.Number  { return KindReject }
func (*Goodbye) Kind() protowire.Number { return kindGoodbye }

func (m *Hello) AppendBody(b []byte) []byte {
	b = appendVarint(b, 1, m.Version)
	b = AppendBytes(b, 2, m.Epoch[:])
	b = AppendBytes(b, 3, m.NodeInfo)

	if m.Delegation == nil {
		return b
	}

	d := AppendBytes(nil, 1, m.Delegation.Key[:])
	d = AppendBytes(d, 2, m.Delegation.Signature[:])
	d = appendVarint(d, 3, m.Delegation.Expires)
	if m.Version == HostVersion {
		d = AppendBytes(d, 4, hostBytes(m.Delegation.Host))
	}

	return AppendBytes(b, 4, d)
}

func (m *Accept) AppendBody(b []byte) []byte {
	return AppendBytes(AppendBytes(b, 1, m.Epoch[:]), 2, m.NodeInfo)
}

func (m *Reject) AppendBody(b []byte) []byte { return appendReason(b, m.Code, m.Text) }

func (m *Goodbye) AppendBody(b []byte) []byte {
	b = appendReason(b, m.Code, m.Text)
	for _, c := range m.Counts {
		b = AppendBytes(b, 3, appendVarint(appendVarint(nil, 1, uint64(c.Channel)), 2, c.Messages))
	}
	if m.Answer {
		b = appendVarint(b, 4, 1)
	}

	return b
}

// appendReason appends the fields that Reject and Goodbye have in common.
func appendReason(b []byte, code compat.RejectCode, text string) []byte {
	b = appendVarint(b, 1, uint64(code))
	if text = reasonText(text); text != "" {
		b = AppendBytes(b, 2, []byte(text))
	}

	return b
}

// reasonText cuts the text to MaxReasonText and replaces what is not printable ASCII, so
// that the text of a remote can be logged.
func reasonText(text string) string {
	b := []byte(text[:min(len(text), MaxReasonText)])
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

// AppendBytes appends a length-delimited field.
func AppendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// Append appends a message in the form in which it is sent on the control stream.
func Append(dst []byte, m Message) []byte {
	return wire.AppendSized(dst, AppendBytes(nil, m.Kind(), m.AppendBody(nil)))
}

// Read reads one message of at most MaxSize bytes from r, and nothing beyond it. Its error
// is io.EOF when r ends before the message, wraps ErrProtocol when the bytes are not a
// message, and else is that of r.
func Read(r io.Reader) (Message, error) {
	body, err := wire.ReadSized(r, MaxSize)
	if err != nil {
		return nil, asViolation(err)
	}

	return Decode(body)
}
