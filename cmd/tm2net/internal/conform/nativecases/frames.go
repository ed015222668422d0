package nativecases

import (
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawnative"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// frameRow is a way to send a message in frames. It is played with the auth message in the
// handshake, and with a ping on a connection.
type frameRow struct {
	name, title string
	level       conform.Level
	want        conform.Outcome
	send        func(s *session, msg []byte)
	places      string // "ac" for both
}

// frameCases are about sealed frames (docs/wire.md §3.3).
func frameCases() conform.Catalog {
	var rows []row
	for _, r := range frameRows {
		if r.places != "c" {
			rows = append(rows, row{
				name: "auth-" + r.name, title: r.title + ", in the handshake", spec: "3.3", level: r.level, want: r.want, roles: bothRoles,
				play: handshake(func(s *session) {
					s.Exchange()
					if s.Failure() == nil {
						r.send(s, s.Auth(wire.AuthPlain))
					}
				}),
			})
		}
		if r.places != "a" {
			rows = append(rows, row{
				name: r.name, title: r.title, spec: "3.3", level: r.level, want: r.want,
				play: connected(func(s *session) { r.send(s, wire.AppendPing(nil)) }),
			})
		}
	}

	return section("frames", rows)
}

const badTag = "a frame whose tag does not fit its content"

var frameRows = []frameRow{
	{"split", "a message in two frames", conform.Must, conform.Accepts, func(s *session, msg []byte) { s.Chunks(msg[:1], msg[1:]) }, ""},
	{"bytewise", "a message of one byte a frame", conform.Must, conform.Accepts, func(s *session, msg []byte) {
		for i := range msg {
			s.Chunks(msg[i : i+1])
		}
	}, ""},
	{"padding", "padding that is not zero", conform.Must, conform.Accepts,
		func(s *session, msg []byte) { s.Send(s.Frame(uint32(len(msg)), msg, 0xa5)) }, ""},
	{"many", "twenty messages in one frame", conform.Must, conform.Accepts, func(s *session, msg []byte) {
		var all []byte
		for range 20 {
			all = append(all, msg...)
		}
		s.Chunks(all)
	}, "c"},
	{"joined", "auth message and NodeInfo in one frame", conform.Must, conform.Accepts, func(s *session, msg []byte) {
		info := sized(s.info())
		s.sentInfo = min(len(info)-1, rawnative.ChunkSize-len(msg)) // the rest follows in the next frame
		s.Chunks(append(msg, info[:s.sentInfo]...))
	}, "a"},
	{"length-1025", "a chunk length of 1025", conform.Must, conform.Ends, func(s *session, msg []byte) { s.Send(s.Frame(1025, msg, 0)) }, ""},
	{"length-max", "a chunk length of 2^32-1", conform.Must, conform.Ends, func(s *session, msg []byte) { s.Send(s.Frame(1<<32-1, msg, 0)) }, ""},
	{"length-big-endian", "a chunk length that is written big endian", conform.Must, conform.Ends,
		func(s *session, msg []byte) { s.Send(s.Frame(uint32(len(msg))<<24, msg, 0)) }, ""},
	{"tag-flipped", badTag + ": a bit of the tag", conform.Must, conform.Ends, func(s *session, msg []byte) { s.Send(flipped(s, msg, -1)) }, ""},
	{"content-flipped", badTag + ": a bit of the content", conform.Must, conform.Ends, func(s *session, msg []byte) { s.Send(flipped(s, msg, 6)) }, ""},
	{"padding-flipped", badTag + ": a bit of the padding", conform.Must, conform.Ends, func(s *session, msg []byte) { s.Send(flipped(s, msg, 1000)) }, ""},
	{"counter-skipped", "a frame is left out", conform.Must, conform.Ends, func(s *session, msg []byte) { s.SkipCounter(); s.Chunks(msg) }, ""},
	{"wrong-key", "a frame under the key of the other direction", conform.Must, conform.Ends,
		func(s *session, msg []byte) { s.SealWithReceiveKey(); s.Chunks(msg) }, ""},
	{"additional-data", "a frame that is sealed with additional data", conform.Must, conform.Ends,
		func(s *session, msg []byte) { s.Send(s.FrameWithData(msg, []byte{1})) }, ""},
	{"replayed", "a frame that comes twice", conform.Must, conform.Ends, func(s *session, msg []byte) {
		frame := s.Frame(uint32(len(msg)), msg, 0)
		s.Send(frame)
		s.Send(frame)
	}, ""},
	{"cut", "the stream ends inside a frame", conform.Must, conform.Ends, func(s *session, msg []byte) {
		s.Send(s.Frame(uint32(len(msg)), msg, 0)[:500])
		s.HangUp()
	}, ""},
	{"in-the-clear", "a message in the clear", conform.Must, conform.Ends, func(s *session, msg []byte) {
		s.Send(append(msg, make([]byte, rawnative.FrameSize-len(msg))...))
	}, ""},
	{"empty-first", "a frame without content before a message", conform.Should, conform.Ends, func(s *session, msg []byte) { s.Chunks(nil, msg) }, ""},
	{"empty-inside", "a frame without content inside a message", conform.Strict, conform.Ends,
		func(s *session, msg []byte) { s.Chunks(msg[:5], nil, msg[5:]) }, ""},
}

// flipped is the frame of a message with a bit flipped.
func flipped(s *session, msg []byte, at int) []byte {
	frame := s.Frame(uint32(len(msg)), msg, 0)
	if at < 0 {
		at += len(frame)
	}
	if at < len(frame) { // there is none after a failure
		frame[at] ^= 1
	}

	return frame
}
