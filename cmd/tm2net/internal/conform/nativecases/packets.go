package nativecases

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// packetRow is what a connected peer sends. ch is a channel whose messages the node ignores.
type packetRow struct {
	name, title string
	level       conform.Level
	want        conform.Outcome
	sends       func(ch byte) []byte
	needsCh     bool // the bytes use the channel
}

// packetCases are about the bytes of packets (docs/wire.md §5.1).
func packetCases() conform.Catalog {
	var rows []row
	for _, r := range slices.Concat(keepAliveRows, anyRows, msgRows) {
		one := row{
			name: r.name, title: r.title, spec: "5.1", level: r.level, want: r.want,
			play: connected(func(s *session) { s.Message(r.sends(s.target.Channel)) }),
		}
		if r.needsCh {
			one.needs = needsChannel
		}
		rows = append(rows, one)
	}
	for _, r := range endRows {
		rows = append(rows, row{
			name: r.name, title: r.title, spec: "5.5", level: conform.Must, want: conform.Ends,
			play: connected(func(s *session) { r.play(s); s.HangUp(); s.Drain() }),
		})
	}

	return section("packets", rows)
}

func needsChannel(t *conform.Target) string {
	if t.HasChannel {
		return ""
	}

	return "the node has no channel 0x50, on which it ignores what it does not know; name one with --channel"
}

// junk is content that no reactor of the channel knows.
func junk(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }

const pingURL = "/p2p.Ping"

var keepAliveRows = []packetRow{
	{"ping", "a ping", conform.Must, conform.Accepts, func(byte) []byte { return wire.AppendPing(nil) }, false},
	{"pong", "a pong that nobody asked for", conform.Must, conform.Accepts, func(byte) []byte { return wire.AppendPong(nil) }, false},
	{"ping-flood", "200 pings at once", conform.Must, conform.Accepts, func(byte) []byte { return bytes.Repeat(wire.AppendPing(nil), 200) }, false},
	{"ping-value-empty", "a ping with an empty value", conform.Should, conform.Accepts,
		func(byte) []byte { return anyOf(pingURL, []byte{0x12, 0x00}) }, false},
	{"ping-value-unknown", "a ping with an unknown field in its value", conform.Strict, conform.Ends,
		func(byte) []byte { return anyOf(pingURL, []byte{0x12, 0x02, 0x08, 0x01}) }, false},
	{"ping-value-zero", "a ping whose value is a byte 0", conform.Must, conform.Ends,
		func(byte) []byte { return anyOf(pingURL, []byte{0x12, 0x01, 0x00}) }, false},
	{"ping-prefix-nonminimal", "a ping whose length prefix takes two bytes", conform.Should, conform.Accepts,
		func(byte) []byte { return append([]byte{0x8b, 0x00}, wire.AppendPing(nil)[1:]...) }, false},
}

var anyRows = []packetRow{
	{"empty", "an empty packet", conform.Must, conform.Ends, func(byte) []byte { return []byte{0} }, false},
	{"prefix-overflow", "a length prefix of more than 64 bits", conform.Must, conform.Ends,
		func(byte) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f} }, false},
	{"declared-1055", "a packet of 1057 bytes with its prefix is announced", conform.Must, conform.Ends, func(byte) []byte { return []byte{0x9f, 0x08} }, false},
	{"declared-huge", "a packet of 2^40 bytes is announced", conform.Must, conform.Ends,
		func(byte) []byte { return []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x20} }, false},
	{"type-unknown", "a type that nobody knows", conform.Must, conform.Ends, func(byte) []byte { return anyOf("/p2p.Nope", nil) }, false},
	{"type-other", "a type that is not a packet", conform.Must, conform.Ends, func(byte) []byte { return anyOf("/p2p.Request", nil) }, false},
	{"type-case", "a type with other case", conform.Must, conform.Ends, func(byte) []byte { return anyOf("/p2p.ping", nil) }, false},
	{"url-no-slash", "a type URL without a slash", conform.Must, conform.Ends, func(byte) []byte { return anyOf("p2p.Ping", nil) }, false},
	{"url-host", "a type URL with a host in front", conform.Should, conform.Accepts, func(byte) []byte { return anyOf("x.example/p2p.Ping", nil) }, false},
	{"url-two-slashes", "a type URL with two slashes in front", conform.Should, conform.Accepts, func(byte) []byte { return anyOf("//p2p.Ping", nil) }, false},
	{"url-empty", "an empty type URL", conform.Must, conform.Ends, func(byte) []byte { return wire.AppendSized(nil, []byte{0x0a, 0x00}) }, false},
	{"url-nonascii", "a type URL that is not ASCII", conform.Must, conform.Ends, func(byte) []byte { return anyOf("/p2p.Ping\xff", nil) }, false},
	{"url-varint", "the type URL as a varint", conform.Must, conform.Ends, func(byte) []byte { return wire.AppendSized(nil, []byte{0x08, 0x01}) }, false},
	{"value-first", "the value before the type URL", conform.Must, conform.Ends,
		func(byte) []byte { return wire.AppendSized(nil, append([]byte{0x12, 0x00}, urlField(pingURL)...)) }, false},
	{"any-trailing", "a byte after the packet", conform.Must, conform.Ends, func(byte) []byte { return anyOf(pingURL, []byte{0x00}) }, false},
	{"any-field-3", "a field 3 in the packet", conform.Strict, conform.Ends, func(byte) []byte { return anyOf(pingURL, []byte{0x1a, 0x00}) }, false},
}

var msgRows = []packetRow{
	{"message", "a message", conform.Must, conform.Accepts, func(ch byte) []byte { return msg(field(1, ch), eof, payload(2)) }, true},
	{"message-1034", "1034 bytes of payload (1033 on a channel from 0x80 on) in a packet that ends a message, which is the limit", conform.Must, conform.Accepts,
		func(ch byte) []byte { return wire.AppendMsg(nil, ch, true, instead(ch, 1034)) }, true},
	{"message-1035", "a byte of payload more than the limit in a packet that ends a message", conform.Must, conform.Ends,
		func(ch byte) []byte { return wire.AppendMsg(nil, ch, true, instead(ch, 1035)) }, true},
	{"piece-1036", "1036 bytes of payload (1035 on a channel from 0x80 on) in a packet that goes on, which is the limit", conform.Must, conform.Accepts,
		func(ch byte) []byte { return wire.AppendMsg(nil, ch, false, instead(ch, 1036)) }, true},
	{"piece-1037", "a byte of payload more than the limit in a packet that goes on", conform.Must, conform.Ends,
		func(ch byte) []byte { return wire.AppendMsg(nil, ch, false, instead(ch, 1037)) }, true},
	{"message-prefix-nonminimal", "a message whose length prefix takes two bytes", conform.Should, conform.Accepts, func(ch byte) []byte {
		b := msg(field(1, ch), eof, payload(2))

		return append([]byte{b[0] | 0x80, 0x00}, b[1:]...)
	}, true},
	{"message-empty", "a message of no bytes", conform.Strict, conform.Ends, func(ch byte) []byte { return msg(field(1, ch), eof) }, true},
	{"piece-empty", "a piece of no bytes that does not end a message", conform.Must, conform.Accepts, func(ch byte) []byte { return msg(field(1, ch)) }, true},
	{"eof-2", "EOF 2, which does not end a message", conform.Should, conform.Accepts, func(ch byte) []byte { return msg(field(1, ch), []byte{0x10, 0x02}, payload(2)) }, true},
	{"eof-256", "EOF 256", conform.Must, conform.Ends, func(ch byte) []byte { return msg(field(1, ch), []byte{0x10, 0x80, 0x02}, payload(2)) }, true},
	{"channel-256", "channel 256", conform.Must, conform.Ends, func(byte) []byte { return msg([]byte{0x08, 0x80, 0x02}, eof, payload(2)) }, false},
	{"channel-nonminimal", "a channel that takes three bytes", conform.Should, conform.Accepts,
		func(ch byte) []byte { return msg(longChannel(ch, 3), eof, payload(2)) }, true},
	{"channel-11-bytes", "a channel of eleven bytes", conform.Must, conform.Ends,
		func(ch byte) []byte { return msg(longChannel(ch, 11), eof, payload(2)) }, true},
	{"payload-varint", "the payload as a varint", conform.Must, conform.Ends, func(ch byte) []byte { return msg(field(1, ch), eof, []byte{0x18, 0x01}) }, true},
	{"payload-overrun", "a payload that is longer than the packet", conform.Must, conform.Ends,
		func(ch byte) []byte { return msg(field(1, ch), eof, []byte{0x1a, 0x09, 0xff}) }, true},
	{"payload-2-63", "a payload of 2^63 bytes is announced", conform.Must, conform.Ends,
		func(ch byte) []byte {
			return msg(field(1, ch), eof, []byte{0x1a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01})
		}, true},
	{"fields-swapped", "EOF before the channel", conform.Must, conform.Ends, func(ch byte) []byte { return msg(eof, field(1, ch), payload(2)) }, true},
	{"channel-twice", "the channel twice", conform.Must, conform.Ends, func(ch byte) []byte { return msg(field(1, ch), field(1, ch), eof, payload(2)) }, true},
	{"unknown-field-4", "an unknown field 4 (varint)", conform.Strict, conform.Ends, func(ch byte) []byte { return msg(field(1, ch), eof, payload(2), []byte{0x20, 0x01}) }, true},
	{"unknown-fixed64", "an unknown field 4 (fixed64)", conform.Strict, conform.Ends,
		func(ch byte) []byte {
			return msg(field(1, ch), eof, payload(2), append([]byte{0x21}, make([]byte, 8)...))
		}, true},
	{"unknown-fixed32", "an unknown field 4 (fixed32)", conform.Strict, conform.Ends,
		func(ch byte) []byte {
			return msg(field(1, ch), eof, payload(2), append([]byte{0x25}, make([]byte, 4)...))
		}, true},
	{"unknown-field-max", "an unknown field 2^29-1", conform.Strict, conform.Ends,
		func(ch byte) []byte {
			return msg(field(1, ch), eof, payload(2), []byte{0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01})
		}, true},
	{"field-0", "field number 0 at the end", conform.Must, conform.Ends, func(ch byte) []byte { return msg(field(1, ch), eof, payload(2), []byte{0x00}) }, true},
	{"field-over", "field number 2^29", conform.Must, conform.Ends,
		func(ch byte) []byte {
			return msg(field(1, ch), eof, payload(2), []byte{0x80, 0x80, 0x80, 0x80, 0x10, 0x01})
		}, true},
}

// endRows are ways in which the stream of a peer ends.
var endRows = []struct {
	name, title string
	play        func(s *session)
}{
	{"end", "the stream ends between packets", func(*session) {}},
	{"end-inside", "the stream ends inside a packet", func(s *session) { s.Chunks(wire.AppendPing(nil)[:5]) }},
	{"end-inside-prefix", "the stream ends inside a length prefix", func(s *session) { s.Chunks([]byte{0x92}) }},
}

var eof = []byte{0x10, 0x01}

// field is a number of 8 bits.
func field(num, value byte) []byte { return protowire.AppendVarint([]byte{num << 3}, uint64(value)) }

// longChannel is field 1 with the channel in n bytes, of which the last ones are not needed.
func longChannel(ch byte, n int) []byte {
	b := append([]byte{0x08, ch | 0x80, ch>>7 | 0x80}, bytes.Repeat([]byte{0x80}, n-3)...)

	return append(b, 0x00)
}

// instead is as much junk as makes a packet as large as n bytes do on channel 1: channels from 0x80 on take
// a byte more themselves, and channel 0 takes none.
func instead(ch byte, n int) []byte {
	return junk(n + wire.MsgSize(1, false, n) - wire.MsgSize(ch, false, n))
}

func payload(n int) []byte { return append([]byte{0x1a, byte(n)}, junk(n)...) }

func urlField(url string) []byte { return append([]byte{0x0a, byte(len(url))}, url...) }

// anyOf is a packet of the type, with bytes after the type URL.
func anyOf(url string, after []byte) []byte {
	return wire.AppendSized(nil, append(urlField(url), after...))
}

// msg is a message packet with the given fields in its value.
func msg(fields ...[]byte) []byte {
	value := bytes.Join(fields, nil)

	return anyOf("/p2p.Msg", append([]byte{0x12, byte(len(value))}, value...))
}
