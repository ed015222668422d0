package nativecases

import (
	"context"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawnative"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// stsCases are about the clear part of the secret connection.
func stsCases() conform.Catalog {
	const must, should = conform.Must, conform.Should
	rows := []row{
		{name: "well-formed", title: "a well-formed peer", spec: "3", level: must, want: conform.Accepts,
			play: handshake(func(s *session) { s.exchangeAuth() })},
		{name: "prefix-nonminimal", title: "the length prefix of the ephemeral message takes two bytes", spec: "2", level: should, want: conform.Accepts,
			play: handshake(func(s *session) {
				s.Send(append([]byte{0xa2, 0x00}, s.Ephemeral()[1:]...))
				s.Agree()
				s.Chunks(s.Auth(wire.AuthPlain))
			})},
		{name: "prefix-ten-bytes", title: "the length prefix of the ephemeral message takes ten bytes", spec: "2", level: should, want: conform.Accepts,
			play: handshake(func(s *session) {
				s.Send(append([]byte{0xa2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, s.Ephemeral()[1:]...))
				s.Agree()
				s.Chunks(s.Auth(wire.AuthPlain))
			})},
		{name: "low-order-eight-high-bit", title: "a key of order 8 with its top bit set, which gives no secret", spec: "3.1", level: must, want: conform.Ends,
			play: clear(func(s *session) []byte {
				key := lowOrder["order-eight"]
				key[31] |= 0x80

				return wire.AppendEphemeral(nil, key)
			})},
		{name: "low-order-high-bit", title: "the key 0 with its top bit set, which gives no secret", spec: "3.1", level: must, want: conform.Ends,
			play: clear(func(*session) []byte { return wire.AppendEphemeral(nil, [32]byte{31: 0x80}) })},
		{name: "reflected", title: "the node's own ephemeral message comes back", spec: "3.2", level: conform.Strict, want: conform.Ends,
			play: clear(func(s *session) []byte { return s.Receive(rawnative.EphemeralSize) })},
		{name: "reflected-frame", title: "the node's own ephemeral message and its first frame come back", spec: "3.2", level: must, want: conform.Ends,
			play: handshake(func(s *session) {
				s.Send(s.Receive(rawnative.EphemeralSize))
				s.Send(s.Receive(rawnative.FrameSize))
			})},
		{name: "http", title: "an HTTP request", spec: "3.1", level: must, want: conform.Ends,
			play: clear(func(*session) []byte { return []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n") })},
		{name: "end-at-once", title: "the stream ends before its first byte", spec: "3", level: must, want: conform.Ends,
			play: clear(func(*session) []byte { return nil })},
	}
	for _, c := range ephemeralBytes {
		rows = append(rows, row{name: c.name, title: c.title, spec: "3.1", level: c.level, want: conform.Ends, play: clear(c.bytes)})
	}
	for _, name := range lowOrderNames {
		rows = append(rows, row{
			name: "low-order-" + name, title: "an ephemeral key of low order (" + name + ")", spec: "3.1", level: must, want: conform.Ends,
			play: clear(func(*session) []byte { return wire.AppendEphemeral(nil, lowOrder[name]) }),
		})
	}
	for i := range rows {
		rows[i].roles = bothRoles
	}

	return section("sts", rows)
}

// ephemeralBytes are messages in place of the ephemeral one, of which no key can be read.
var ephemeralBytes = []struct {
	name, title string
	level       conform.Level
	bytes       func(s *session) []byte
}{
	{"truncated", "34 of the 35 bytes of an ephemeral message", conform.Must, func(s *session) []byte { return s.Ephemeral()[:34] }},
	{"key-31", "a key of 31 bytes", conform.Must, func(s *session) []byte { return edited(s.Ephemeral()[:34], 0, 33, 2, 31) }},
	{"key-33", "a key of 33 bytes", conform.Must, func(s *session) []byte { return edited(append(s.Ephemeral(), 0), 0, 35, 2, 33) }},
	{"field-2", "the key in field 2", conform.Must, func(s *session) []byte { return edited(s.Ephemeral(), 1, 0x12) }},
	{"varint", "field 1 as a varint", conform.Must, func(s *session) []byte { return edited(s.Ephemeral(), 1, 0x08) }},
	{"raw-key", "32 bytes of a key alone", conform.Must, func(s *session) []byte { return s.Ephemeral()[3:] }},
	{"empty", "an empty body", conform.Must, func(*session) []byte { return []byte{0} }},
	{"trailing", "a byte after the key", conform.Must, func(s *session) []byte { return edited(append(s.Ephemeral(), 0), 0, 35) }},
	{"unknown-field", "an unknown field after the key", conform.Must,
		func(s *session) []byte { return edited(append(s.Ephemeral(), 0x10, 0x01), 0, 36) }},
	{"prefix-overflow", "a length prefix of more than 64 bits", conform.Must,
		func(*session) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f} }},
	{"declared-huge", "a message of 2^40 bytes is announced", conform.Must,
		func(*session) []byte { return []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x20} }},
}

// edited changes bytes: pairs of a place and a value.
func edited(b []byte, changes ...byte) []byte {
	for i := 0; i < len(changes); i += 2 {
		b[changes[i]] = changes[i+1]
	}

	return b
}

// agreeing is how long a node that goes on after the ephemeral message has to show it. One that adapts its
// dialect first waits a second for the peer. It is less than a handshake has (docs/wire.md §3).
const agreeing = 2500 * time.Millisecond

// keyed is how much a node has sent that has keys, in bytes.
const keyed = rawnative.EphemeralSize + rawnative.FrameSize

// clear sends bytes in place of the ephemeral message, and then ends the stream. A node that makes keys of
// them sends its auth message, in a frame that nobody can seal without keys: it accepts, although
// the connection comes to nothing.
func clear(bytes func(s *session) []byte) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		s, err := open(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()
		s.Send(bytes(s))
		s.AwaitArrived(keyed, agreeing)
		s.HangUp()
		seen := s.ended()
		if s.Arrived() >= keyed {
			seen.Outcome, seen.Detail = conform.Accepts, "it makes keys of it and sends a frame"
		}

		return seen, nil
	}
}

// exchangeAuth does an honest handshake up to the peer's auth message.
func (s *session) exchangeAuth() {
	s.Exchange()
	s.Chunks(s.Auth(wire.AuthPlain))
}

// lowOrder are the keys that docs/wire.md §3.1 refuses.
var lowOrder = map[string][32]byte{
	"zero":  {},
	"one":   {1},
	"p-1":   ends(0xec),
	"p":     ends(0xed),
	"p+1":   ends(0xee),
	"other": {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	"order-eight": {
		0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
	},
}

var lowOrderNames = []string{"zero", "one", "order-eight", "other", "p-1", "p", "p+1"}

// ends is a number just around the prime, little endian.
func ends(first byte) (key [32]byte) {
	for i := range key {
		key[i] = 0xff
	}
	key[0], key[31] = first, 0x7f

	return key
}
