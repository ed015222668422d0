package rawsession

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"
)

// The kinds of control messages (docs/sessions.md §3).
const (
	KindHello   = 1
	KindAccept  = 2
	KindReject  = 3
	KindGoodbye = 4

	// MaxControl is the largest control message with its length, in bytes.
	MaxControl = 16384
)

// Epoch names a session.
type Epoch [16]byte

// NewEpoch returns a random epoch.
func NewEpoch() (e Epoch) {
	_, _ = rand.Read(e[:]) // does not fail

	return e
}

// Hello is the content of a Hello message. Delegation is nil for none.
type Hello struct {
	Version    uint64
	Epoch      []byte
	NodeInfo   []byte
	Delegation []byte
	Extra      []byte // after the fields
}

// Bytes is the whole control message.
func (h Hello) Bytes() []byte {
	var b []byte
	if h.Version != 0 {
		b = varint(b, 1, h.Version)
	}
	b = bytesField(b, 2, h.Epoch)
	b = bytesField(b, 3, h.NodeInfo)
	if h.Delegation != nil {
		b = bytesField(b, 4, h.Delegation)
	}

	return Control(KindHello, append(b, h.Extra...))
}

// Control is a control message around a content.
func Control(kind protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(nil, bytesField(nil, kind, content))
}

// Goodbye is a Goodbye message. counts are pairs of a channel and a number of messages.
func Goodbye(code uint64, text string, answer bool, counts ...[2]uint64) []byte {
	b := varint(nil, 1, code)
	b = bytesField(b, 2, []byte(text))
	for _, c := range counts {
		b = bytesField(b, 3, varint(varint(nil, 1, c[0]), 2, c[1]))
	}
	if answer {
		b = varint(b, 4, 1)
	}

	return Control(KindGoodbye, b)
}

// Accept is an Accept message.
func Accept(epoch Epoch, nodeInfo []byte) []byte {
	return Control(KindAccept, bytesField(bytesField(nil, 1, epoch[:]), 2, nodeInfo))
}

// Reject is a Reject message.
func Reject(code uint64, text string) []byte {
	return Control(KindReject, bytesField(varint(nil, 1, code), 2, []byte(text)))
}

func varint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func bytesField(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// Message is a control message of the node, as far as cases look at it.
type Message struct {
	Kind     int
	Code     uint64 // of a Reject or Goodbye; the version of a Hello
	Text     string
	Epoch    []byte // of a Hello or Accept
	NodeInfo []byte
	Answer   bool // of a Goodbye
}

// ReadControl reads a control message.
func (s *Stream) ReadControl() (Message, error) {
	body, err := s.Read(MaxControl)
	if err != nil {
		return Message{}, err
	}
	num, typ, n := protowire.ConsumeTag(body)
	if n < 0 || typ != protowire.BytesType {
		return Message{}, fmt.Errorf("%w: control message %x", ErrMalformed, body)
	}
	content, m := protowire.ConsumeBytes(body[n:])
	if m != len(body)-n {
		return Message{}, fmt.Errorf("%w: control message %x", ErrMalformed, body)
	}
	message := Message{Kind: int(num)}

	return message, message.decode(content)
}

func (m *Message) decode(b []byte) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: field of a control message: %w", ErrMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		var number uint64
		var text []byte
		switch typ {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(b)
		default:
			n = -1
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d of a control message", ErrMalformed, num)
		}
		b = b[n:]
		m.set(num, number, text)
	}

	return nil
}

func (m *Message) set(num protowire.Number, number uint64, text []byte) {
	switch {
	case m.Kind == KindAccept && num == 1:
		m.Epoch = text
	case m.Kind == KindAccept && num == 2:
		m.NodeInfo = text
	case m.Kind == KindHello && num == 2:
		m.Epoch = text
	case m.Kind == KindHello && num == 3:
		m.NodeInfo = text
	case num == 1:
		m.Code = number
	case num == 2:
		m.Text = string(text)
	case num == 4:
		m.Answer = number == 1
	}
}

// Delegation is a delegation by the key for a session between two peers.
func Delegation(key ed25519.PrivateKey, epoch Epoch, dialer, listener peer.ID, expires time.Time) []byte {
	signed := []byte("tm2-libp2p/session/delegation/1\x00")
	signed = protowire.AppendBytes(signed, epoch[:])
	signed = protowire.AppendBytes(signed, []byte(dialer))
	signed = protowire.AppendBytes(signed, []byte(listener))
	signed = binary.BigEndian.AppendUint64(signed, uint64(expires.Unix()))
	b := bytesField(nil, 1, key.Public().(ed25519.PublicKey))
	b = bytesField(b, 2, ed25519.Sign(key, signed))

	return varint(b, 3, uint64(expires.Unix()))
}
