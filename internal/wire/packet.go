package wire

import "google.golang.org/protobuf/encoding/protowire"

const (
	packetMessage = "packet"

	pingName = "p2p.Ping"
	pongName = "p2p.Pong"
	msgName  = "p2p.Msg"
	msgURL   = "/" + msgName

	pingSized = "\x0b\x0a\x09/" + pingName
	pongSized = "\x0b\x0a\x09/" + pongName

	// packetSlack is the number of bytes by which the original's limit exceeds
	// its largest packet (docs/wire.md §5.1).
	packetSlack = 10

	eofSet = 1 // the only EOF value that ends a message; others are accepted
)

// Field numbers of a message packet.
const (
	msgChannel protowire.Number = 1
	msgEOF     protowire.Number = 2
	msgBytes   protowire.Number = 3
)

// PacketKind is the type of a packet. The zero value is invalid.
type PacketKind uint8

// The three packets of a multiplexed connection.
const (
	PacketPing PacketKind = iota + 1
	PacketPong
	PacketMsg
)

// String returns "ping", "pong", "msg" or "invalid".
func (k PacketKind) String() string {
	switch k {
	case PacketPing:
		return "ping"
	case PacketPong:
		return "pong"
	case PacketMsg:
		return "msg"
	default:
		return "invalid"
	}
}

// Packet is a decoded packet (docs/wire.md §5.1). Channel, EOF and Payload are
// set for [PacketMsg] only.
type Packet struct {
	Kind    PacketKind
	Channel byte
	EOF     bool   // last piece of a message
	Payload []byte // aliases the input of DecodePacket
}

// AppendPing appends a sized ping packet.
func AppendPing(dst []byte) []byte { return append(dst, pingSized...) }

// AppendPong appends a sized pong packet.
func AppendPong(dst []byte) []byte { return append(dst, pongSized...) }

// AppendMsg appends a sized message packet with one piece of a message. The
// payload is copied. Its length is not checked; see [MaxPacketSize].
func AppendMsg(dst []byte, ch byte, eof bool, payload []byte) []byte {
	value := msgValueSize(ch, eof, len(payload))

	dst = protowire.AppendVarint(dst, uint64(msgAnySize(value)))
	dst = appendField(dst, anyTypeURL, msgURL)

	if value == 0 {
		return dst
	}

	dst = protowire.AppendTag(dst, anyValue, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(value))

	if ch != 0 {
		dst = protowire.AppendTag(dst, msgChannel, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(ch))
	}

	if eof {
		dst = protowire.AppendTag(dst, msgEOF, protowire.VarintType)
		dst = protowire.AppendVarint(dst, eofSet)
	}

	return appendField(dst, msgBytes, payload)
}

// MsgSize returns how many bytes [AppendMsg] adds for a payload of payloadLen
// bytes.
func MsgSize(ch byte, eof bool, payloadLen int) int {
	return protowire.SizeBytes(msgAnySize(msgValueSize(ch, eof, payloadLen)))
}

// MaxPacketSize returns the largest packet, in bytes with its prefix, that a
// receiver accepts when it is configured for payloads of maxPayload bytes: 1056
// for 1024 (docs/wire.md §5.1).
func MaxPacketSize(maxPayload int) int {
	const anyChannel = 1

	return MsgSize(anyChannel, true, maxPayload) + packetSlack
}

func msgValueSize(ch byte, eof bool, payloadLen int) int {
	size := 0

	if ch != 0 {
		size += protowire.SizeTag(msgChannel) + protowire.SizeVarint(uint64(ch))
	}

	if eof {
		size += protowire.SizeTag(msgEOF) + protowire.SizeVarint(eofSet)
	}

	if payloadLen != 0 {
		size += protowire.SizeTag(msgBytes) + protowire.SizeBytes(payloadLen)
	}

	return size
}

func msgAnySize(valueSize int) int {
	size := stringFieldSize(anyTypeURL, msgURL)
	if valueSize != 0 {
		size += protowire.SizeTag(anyValue) + protowire.SizeBytes(valueSize)
	}

	return size
}

// DecodePacket decodes the body of a packet. Payload aliases body. It allocates
// only for an error.
func DecodePacket(body []byte) (Packet, error) {
	name, value, err := decodeAny(packetMessage, body)
	if err != nil {
		return Packet{}, err
	}

	switch string(name) {
	case msgName:
		return decodeMsg(value)
	case pingName:
		return decodeKeepAlive(PacketPing, value)
	case pongName:
		return decodeKeepAlive(PacketPong, value)
	default:
		return Packet{}, &DecodeError{Message: packetMessage, Field: "type URL", Reason: "not a packet type"}
	}
}

func decodeKeepAlive(kind PacketKind, value []byte) (Packet, error) {
	if err := noFields(packetMessage, value); err != nil {
		return Packet{}, err
	}

	return Packet{Kind: kind}, nil
}

func decodeMsg(value []byte) (Packet, error) {
	var (
		p = Packet{Kind: PacketMsg}
		r = newFieldReader("message packet", value, 0)
	)

	err := r.each(func() (err error) {
		var eof uint8

		switch r.num {
		case msgChannel:
			p.Channel, err = r.uint8("channel")
		case msgEOF:
			eof, err = r.uint8("EOF")
			p.EOF = eof == eofSet
		case msgBytes:
			p.Payload, err = r.bytes("payload")
		default:
			err = r.unknown()
		}

		return err
	})
	if err != nil {
		return Packet{}, err
	}

	return p, nil
}
