package transcript

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
)

// The messages of docs/wire.md, by the numbers of their fields.
var (
	ephemeralFields = schema{1: {name: "X25519 public key"}}
	authFields      = schema{
		1: {name: "Ed25519 public key", value: authKey},
		2: {name: "Ed25519 signature over the challenge (§3.2)"},
	}
	typedKeyFields = schema{1: {name: "Ed25519 public key"}}
	nodeInfoFields = schema{
		1: {name: "version set", inner: schema{
			1: {name: "name", text: true}, 2: {name: "version", text: true}, 3: {name: "optional", number: yesNo},
		}},
		2: {name: "address", text: true},
		3: {name: "network", text: true},
		4: {name: "software", text: true},
		5: {name: "version", text: true},
		6: {name: "channels", value: channels},
		7: {name: "moniker", text: true},
		8: {name: "other", inner: schema{1: {name: "tx index", text: true}, 2: {name: "RPC address", text: true}}},
	}
	packetFields = schema{
		1: {name: "channel", number: func(n uint64) string { return fmt.Sprintf("channel 0x%02x, %s", n, channelName(n)) }},
		2: {name: "EOF", number: func(n uint64) string {
			return map[bool]string{true: "the message ends here", false: "more follows"}[n == 1]
		}},
		3: {name: "payload"},
	}
	responseFields = schema{1: {name: "address", text: true}}
)

// values are the fields of the messages that an Any may hold, by the text after the last slash
// of the type URL.
var values = map[string]schema{
	"p2p.Msg": packetFields, "p2p.Response": responseFields, "tm.PubKeyEd25519": typedKeyFields,
	"p2p.Ping": {}, "p2p.Pong": {}, "p2p.Request": {},
}

func yesNo(n uint64) string { return map[bool]string{true: "yes", false: "no"}[n != 0] }

// authKey explains the key of an auth message: 32 bytes in dialect C, a typed key in A and B.
func authKey(e *explainer, value []byte, name string) {
	if len(value) == 32 {
		e.add(value, "%s (dialect C)", name)

		return
	}
	e.any(value)
}

func channels(e *explainer, value []byte, _ string) {
	for i, id := range value {
		e.add(value[i:i+1], "channel 0x%02x, %s", id, channelName(uint64(id)))
	}
}

func channelName(id uint64) string {
	names := map[uint64]string{
		0x20: "consensus state", 0x21: "consensus data", 0x22: "consensus vote", 0x23: "consensus vote set bits",
		0x30: "mempool", 0x40: "blockchain", uint64(pex.Channel): "discovery",
	}
	if name, known := names[id]; known {
		return name
	}

	return "not one of TM2's"
}

// any explains an Any (§2): a type URL, and a value.
func (e *explainer) any(body []byte) {
	number, wireType, n := protowire.ConsumeTag(body)
	if n < 0 || number != 1 || wireType != protowire.BytesType {
		e.message(body, nil)

		return
	}
	e.message(body, schema{1: {name: "type URL", text: true}, 2: {name: "value", value: valueOf(body[n:])}})
}

// valueOf returns what explains the value behind a type URL.
func valueOf(afterTag []byte) func(*explainer, []byte, string) {
	url, _ := protowire.ConsumeBytes(afterTag)
	fields, known := values[typeName(url)]

	return func(e *explainer, value []byte, name string) {
		if known {
			e.message(value, fields)
		} else {
			e.add(value, "%s of a message outside of docs/wire.md", name)
		}
	}
}

// typeName is the text after the last slash of a type URL.
func typeName(url []byte) string {
	for i := len(url) - 1; i >= 0; i-- {
		if url[i] == '/' {
			return string(url[i+1:])
		}
	}

	return ""
}
