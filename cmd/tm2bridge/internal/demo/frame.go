package demo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// kind is the type of a frame.
type kind byte

const (
	kindHello kind = iota + 1 // first frame to a peer; its origin is the sender
	kindData                  // a gossiped message
	kindFin                   // last frame of a link
)

// A frame is
//
//	crc32c of the rest (4) | kind (1) | channel (1) | origin (2) | link number (8) | sequence (8) | body
//
// with lengths in bytes and big-endian numbers. Only data has a sequence and a body.
const frameHeader = 24

// errCorrupt is wrapped by the errors of decodeFrame.
var errCorrupt = errors.New("corrupt frame")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one message on one channel of one peer.
type frame struct {
	kind    kind
	channel byte
	origin  uint16 // index of the node that originated it
	link    uint64 // number on this link, from 1; 0 until it is sent
	seq     uint64 // number within its origin and channel, from 1
	body    []byte
}

// key identifies the message of a data frame.
func (f frame) key() messageKey { return messageKey{channel: f.channel, seq: f.seq} }

// encode returns the encoded frame in a new slice.
func (f frame) encode() []byte {
	b := make([]byte, frameHeader, frameHeader+len(f.body))
	b[4], b[5] = byte(f.kind), f.channel
	binary.BigEndian.PutUint16(b[6:], f.origin)
	binary.BigEndian.PutUint64(b[8:], f.link)
	binary.BigEndian.PutUint64(b[16:], f.seq)
	b = append(b, f.body...)
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))

	return b
}

// decodeFrame decodes a frame received on the channel. The body aliases msg.
func decodeFrame(channel byte, msg []byte) (frame, error) {
	if len(msg) < frameHeader {
		return frame{}, fmt.Errorf("%w: %d bytes", errCorrupt, len(msg))
	}
	if have, want := crc32.Checksum(msg[4:], castagnoli), binary.BigEndian.Uint32(msg); have != want {
		return frame{}, fmt.Errorf("%w: checksum %08x instead of %08x", errCorrupt, have, want)
	}
	f := frame{
		kind:    kind(msg[4]),
		channel: msg[5],
		origin:  binary.BigEndian.Uint16(msg[6:]),
		link:    binary.BigEndian.Uint64(msg[8:]),
		seq:     binary.BigEndian.Uint64(msg[16:]),
		body:    msg[frameHeader:],
	}
	if f.channel != channel {
		return frame{}, fmt.Errorf("%w: sent on channel %#02x, received on %#02x", errCorrupt, f.channel, channel)
	}
	if f.kind < kindHello || f.kind > kindFin || f.link == 0 || (f.kind == kindData && f.seq == 0) {
		return frame{}, fmt.Errorf("%w: kind %d, link number %d, sequence %d", errCorrupt, f.kind, f.link, f.seq)
	}

	return f, nil
}
