package nativecases

import (
	"crypto/ed25519"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// authRow is a message in place of the auth message.
type authRow struct {
	name, title string
	level       conform.Level
	want        conform.Outcome
	message     func(s *session) []byte
}

// authCases are about the auth message: whom the node takes a peer for.
func authCases() conform.Catalog {
	var rows []row
	for _, r := range authRows {
		rows = append(rows, row{
			name: r.name, title: r.title, spec: "3.4", level: r.level, want: r.want, roles: bothRoles,
			play: handshake(func(s *session) {
				s.Exchange()
				if s.Failure() == nil {
					s.Message(r.message(s))
				}
			}),
		})
	}
	for i := range rows {
		if rows[i].name == "low-order-key" { // a dialing node finds another ID than it has dialed
			rows[i].roles = nil
		}
	}
	rows = append(rows, row{
		name: "own-key", title: "the node's own auth message comes back", spec: "3.4", level: conform.Strict, want: conform.Ends,
		play: ownKey, roles: []conform.Role{conform.Dialing},
	}, row{
		name: "silent", title: "nothing after the ephemeral message", spec: "3", level: conform.Should, want: conform.Ends,
		play: silentAfter(func(s *session) { s.Exchange() }), roles: bothRoles,
	})

	return section("auth", rows)
}

var authRows = []authRow{
	{"wrong-key", "a signature by another key", conform.Must, conform.Ends, func(s *session) []byte {
		_, other, err := ed25519.GenerateKey(nil)
		if err != nil {
			panic(err) // the reader of crypto/rand does not fail
		}

		return s.Signed(ed25519.Sign(other, s.Challenge()))
	}},
	{"wrong-challenge", "a signature over something else", conform.Must, conform.Ends,
		func(s *session) []byte { return s.Signed(ed25519.Sign(s.Key(), []byte("something else"))) }},
	{"zero-signature", "a signature of zeros", conform.Must, conform.Ends,
		func(s *session) []byte { return s.Signed(make([]byte, ed25519.SignatureSize)) }},
	{"low-order-key", "an identity of low order, with a signature that proves nothing", conform.Strict, conform.Ends,
		func(s *session) []byte {
			// For the key 1 the signature (1, 0) holds for every message.
			key := [32]byte{1}
			s.as = types.IDFromPublicKey(key[:])

			return wire.AppendAuth(nil, wire.Auth{PublicKey: key, Signature: [64]byte{1}})
		}},
	{"signature-63", "a signature of 63 bytes", conform.Must, conform.Ends, func(s *session) []byte {
		msg := s.Auth(wire.AuthPlain)

		return edited(msg[:100], 0, 99, 36, 63)
	}},
	{"empty", "an empty body", conform.Must, conform.Ends, func(*session) []byte { return []byte{0} }},
	{"no-key", "no key", conform.Must, conform.Ends,
		func(s *session) []byte { return wire.AppendSized(nil, s.Auth(wire.AuthPlain)[35:]) }},
	{"no-signature", "no signature", conform.Must, conform.Ends,
		func(s *session) []byte { return wire.AppendSized(nil, s.Auth(wire.AuthPlain)[1:35]) }},
	{"signature-length-0", "a signature of length 0", conform.Must, conform.Ends,
		func(s *session) []byte {
			return wire.AppendSized(nil, append(s.Auth(wire.AuthPlain)[1:35], 0x12, 0x00))
		}},
	{"key-33", "a key of 33 bytes", conform.Must, conform.Ends, func(s *session) []byte {
		msg := s.Auth(wire.AuthPlain)
		body := append([]byte{0x0a, 33, 0}, msg[3:]...)

		return wire.AppendSized(nil, body)
	}},
	{"fields-swapped", "the signature before the key", conform.Must, conform.Ends, func(s *session) []byte {
		msg := s.Auth(wire.AuthPlain)

		return wire.AppendSized(nil, append(append([]byte(nil), msg[35:]...), msg[1:35]...))
	}},
	{"key-twice", "the key twice", conform.Must, conform.Ends, func(s *session) []byte {
		msg := s.Auth(wire.AuthPlain)

		return wire.AppendSized(nil, append(append([]byte(nil), msg[1:35]...), msg[1:]...))
	}},
	{"unknown-varint", "an unknown field 3 (varint) at the end", conform.Strict, conform.Ends, trailing(0x18, 0x07)},
	{"unknown-bytes", "an unknown field 3 (bytes) at the end", conform.Strict, conform.Ends, trailing(0x1a, 0x01, 0x07)},
	{"unknown-group", "an unknown field 3 (group) at the end", conform.Must, conform.Ends, trailing(0x1b)},
	{"field-0", "field number 0 at the end", conform.Must, conform.Ends, trailing(0x00)},
	{"length-overrun", "the signature's length says 65 of 64 bytes", conform.Must, conform.Ends,
		func(s *session) []byte { return edited(s.Auth(wire.AuthPlain), 36, 65) }},
	{"tag-nonminimal", "the tag of the signature takes two bytes", conform.Should, conform.Accepts, func(s *session) []byte {
		msg := s.Auth(wire.AuthPlain)

		return wire.AppendSized(nil, append(append(append([]byte(nil), msg[1:35]...), 0x92, 0x00), msg[36:]...))
	}},
	{"typed-unknown", "a key of a type that nobody knows", conform.Must, conform.Ends, func(s *session) []byte {
		msg := s.Auth(wire.AuthTyped)
		copy(msg[5:], "/tm.PubKeyUnknown")

		return msg
	}},
	{"typed-no-slash", "a key whose type URL has no slash", conform.Must, conform.Ends, func(s *session) []byte {
		return edited(s.Auth(wire.AuthTyped), 5, 'x')
	}},
	{"typed-short", "a typed key of 31 bytes", conform.Must, conform.Ends,
		func(s *session) []byte { return edited(s.Auth(wire.AuthTyped), 25, 31) }},
	{"declared-huge", "a message of 2^40 bytes is announced", conform.Must, conform.Ends,
		func(*session) []byte { return []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x20} }},
}

// trailing is the honest auth message with bytes at the end of its body.
func trailing(b ...byte) func(s *session) []byte {
	return func(s *session) []byte { return wire.AppendSized(nil, append(s.Auth(wire.AuthPlain)[1:], b...)) }
}
