package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Limits that real nodes put on sized messages, prefix included.
const (
	maxHandshake = 1 << 20
	maxNodeInfo  = 10240
	maxPacket    = 1056
)

// hexBytes is a byte string, in hex in the JSON files.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b

	return err
}

type vectorFile struct {
	NodeKeys []struct {
		PublicKey hexBytes `json:"public_key"`
		NodeID    string   `json:"node_id"`
	} `json:"node_keys"`
	Ephemeral []struct {
		Message hexBytes `json:"message"`
		Pub     hexBytes `json:"pub"`
	} `json:"ephemeral"`
	KeySchedule []struct {
		Challenge hexBytes `json:"challenge"`
	} `json:"key_schedule"`
	Auth []struct {
		Seed      hexBytes `json:"seed"`
		Signature hexBytes `json:"signature"`
		AB        hexBytes `json:"message_A_B"`
		C         hexBytes `json:"message_C"`
	} `json:"auth"`
	NodeInfo []nodeInfoVector `json:"node_info"`
	Packets  []struct {
		Name  string   `json:"name"`
		Sized hexBytes `json:"sized"`
	} `json:"packets"`
	MessageSplit struct {
		MaxPayload int `json:"max_payload"`
		Cases      []struct {
			Channel byte       `json:"channel"`
			Message hexBytes   `json:"message"`
			Packets []hexBytes `json:"packets"`
		} `json:"cases"`
	} `json:"message_split"`
	MaxPacketSize []struct {
		Payload int `json:"payload"`
		Max     int `json:"max_packet_msg_size"`
	} `json:"max_packet_size"`
	Discovery []struct {
		Name string   `json:"name"`
		Any  hexBytes `json:"any"`
	} `json:"discovery"`
}

type nodeInfoVector struct {
	Name   string `json:"name"`
	Fields struct {
		VersionSet []struct {
			Name     string `json:"name"`
			Version  string `json:"version"`
			Optional bool   `json:"optional"`
		} `json:"version_set"`
		PeerID     string   `json:"peer_id"`
		NetAddress string   `json:"net_address"`
		Network    string   `json:"network"`
		Software   string   `json:"software"`
		Version    string   `json:"version"`
		Channels   hexBytes `json:"channels"`
		Moniker    string   `json:"moniker"`
		Other      struct {
			TxIndex    string `json:"tx_index"`
			RPCAddress string `json:"rpc_address"`
		} `json:"other"`
	} `json:"fields"`
	A  hexBytes `json:"A"`
	BC hexBytes `json:"B_C"`
}

func (v nodeInfoVector) info(netAddress string) wire.NodeInfo {
	f := v.Fields
	n := wire.NodeInfo{
		NetAddress: netAddress,
		Network:    f.Network,
		Software:   f.Software,
		Version:    f.Version,
		Moniker:    f.Moniker,
		TxIndex:    f.Other.TxIndex,
		RPCAddress: f.Other.RPCAddress,
	}

	if len(f.Channels) > 0 {
		n.Channels = f.Channels
	}

	for _, e := range f.VersionSet {
		n.VersionSet = append(n.VersionSet, wire.VersionInfo{Name: e.Name, Version: e.Version, Optional: e.Optional})
	}

	return n
}

func loadVectors(tb testing.TB) vectorFile {
	tb.Helper()

	raw, err := os.ReadFile("testdata/vectors.json")
	require.NoError(tb, err)

	var v vectorFile

	require.NoError(tb, json.Unmarshal(raw, &v))

	return v
}

// body strips the size prefix and requires that nothing follows the body.
func body(tb testing.TB, sized []byte, max int) []byte {
	tb.Helper()

	r := bytes.NewReader(sized)
	b, err := wire.ReadSized(r, max)
	require.NoError(tb, err)
	require.Zero(tb, r.Len(), "bytes after the message")

	return b
}

func TestVectorsEphemeral(t *testing.T) {
	vectors := loadVectors(t).Ephemeral
	require.NotEmpty(t, vectors)

	for _, v := range vectors {
		require.Equal(t, []byte(v.Message), wire.AppendEphemeral(nil, [32]byte(v.Pub)))

		got, err := wire.DecodeEphemeral(body(t, v.Message, maxHandshake))
		require.NoError(t, err)
		require.Equal(t, [32]byte(v.Pub), got)
	}
}

func TestVectorsAuth(t *testing.T) {
	file := loadVectors(t)
	require.Len(t, file.Auth, len(file.NodeKeys))

	for i, v := range file.Auth {
		for form, message := range map[wire.AuthForm]hexBytes{wire.AuthPlain: v.C, wire.AuthTyped: v.AB} {
			want := wire.Auth{
				PublicKey: [32]byte(file.NodeKeys[i].PublicKey),
				Signature: [64]byte(v.Signature),
				Form:      form,
			}

			require.Equal(t, []byte(message), wire.AppendAuth(nil, want))

			got, err := wire.DecodeAuth(body(t, message, maxHandshake))
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

func TestVectorsNodeInfo(t *testing.T) {
	vectors := loadVectors(t).NodeInfo
	require.NotEmpty(t, vectors)

	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			for address, sized := range map[string]hexBytes{v.Fields.PeerID: v.A, v.Fields.NetAddress: v.BC} {
				want := v.info(address)
				require.Equal(t, []byte(sized), wire.AppendSized(nil, wire.AppendNodeInfo(nil, &want)))

				got, err := wire.DecodeNodeInfo(body(t, sized, maxNodeInfo))
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		})
	}
}

// packetVectors maps the names in the file to payloads.
var packetVectors = map[string]wire.Packet{
	"ping":                          {Kind: wire.PacketPing},
	"pong":                          {Kind: wire.PacketPong},
	"msg_0x20_eof_hello":            {Kind: wire.PacketMsg, Channel: 0x20, EOF: true, Payload: []byte("hello")},
	"msg_0x20_eof_empty":            {Kind: wire.PacketMsg, Channel: 0x20, EOF: true},
	"msg_0x20_more_empty":           {Kind: wire.PacketMsg, Channel: 0x20},
	"msg_0x00_eof_01":               {Kind: wire.PacketMsg, EOF: true, Payload: []byte{1}},
	"msg_all_zero":                  {Kind: wire.PacketMsg},
	"msg_0xff_eof_ff":               {Kind: wire.PacketMsg, Channel: 0xff, EOF: true, Payload: []byte{0xff}},
	"msg_0x80_eof_single_zero_byte": {Kind: wire.PacketMsg, Channel: 0x80, EOF: true, Payload: []byte{0}},
	"msg_0x40_eof_127":              {Kind: wire.PacketMsg, Channel: 0x40, EOF: true, Payload: bytes.Repeat([]byte{0xab}, 127)},
	"msg_0x40_eof_128":              {Kind: wire.PacketMsg, Channel: 0x40, EOF: true, Payload: bytes.Repeat([]byte{0xab}, 128)},
	"msg_0x40_more_1024":            {Kind: wire.PacketMsg, Channel: 0x40, Payload: bytes.Repeat([]byte{0xab}, 1024)},
}

func appendPacket(tb testing.TB, dst []byte, p wire.Packet) []byte {
	tb.Helper()

	switch p.Kind {
	case wire.PacketPing:
		return wire.AppendPing(dst)
	case wire.PacketPong:
		return wire.AppendPong(dst)
	case wire.PacketMsg:
		return wire.AppendMsg(dst, p.Channel, p.EOF, p.Payload)
	default:
		require.Fail(tb, "no packet", "%v", p)

		return nil
	}
}

func TestVectorsPackets(t *testing.T) {
	vectors := loadVectors(t).Packets
	require.GreaterOrEqual(t, len(vectors), len(packetVectors))

	for _, v := range vectors {
		got, err := wire.DecodePacket(body(t, v.Sized, maxPacket))
		require.NoError(t, err, v.Name)

		want, known := packetVectors[v.Name]
		if !known { // recorded later
			want = got
		}
		require.Equal(t, want, got, v.Name)
		require.Equal(t, []byte(v.Sized), appendPacket(t, nil, want), v.Name)

		if want.Kind == wire.PacketMsg {
			require.Equal(t, len(v.Sized), wire.MsgSize(want.Channel, want.EOF, len(want.Payload)), v.Name)
		}
	}
}

func TestVectorsMessageSplit(t *testing.T) {
	split := loadVectors(t).MessageSplit
	require.NotEmpty(t, split.Cases)

	for _, c := range split.Cases {
		rest := []byte(c.Message)

		var whole []byte

		for i, sized := range c.Packets {
			piece := rest[:min(len(rest), split.MaxPayload)]
			rest = rest[len(piece):]
			last := i == len(c.Packets)-1

			require.Equal(t, []byte(sized), wire.AppendMsg(nil, c.Channel, last, piece))

			p, err := wire.DecodePacket(body(t, sized, maxPacket))
			require.NoError(t, err)
			require.Equal(t, wire.PacketMsg, p.Kind)
			require.Equal(t, c.Channel, p.Channel)
			require.Equal(t, last, p.EOF)

			whole = append(whole, p.Payload...)
		}

		require.Empty(t, rest)
		require.True(t, bytes.Equal(c.Message, whole))
	}
}

func TestVectorsMaxPacketSize(t *testing.T) {
	vectors := loadVectors(t).MaxPacketSize
	require.NotEmpty(t, vectors)

	for _, v := range vectors {
		require.Equal(t, v.Max, wire.MaxPacketSize(v.Payload), "payload %d", v.Payload)
	}

	require.Equal(t, 65571, wire.MaxPacketSize(65536))
}

func TestVectorsDiscovery(t *testing.T) {
	vectors := loadVectors(t).Discovery
	require.NotEmpty(t, vectors)

	counts := map[string]int{"response_1": 1, "response_2": 2, "response_localhost": 1, "response_30": 30}

	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			addrs, request, err := wire.DecodeDiscovery(v.Any)

			switch v.Name {
			case "request":
				require.NoError(t, err)
				require.True(t, request)
				require.Empty(t, addrs)
				require.Equal(t, []byte(v.Any), wire.AppendRequest(nil))
			case "response_31":
				require.ErrorContains(t, err, "more than 30 addresses")
				require.Nil(t, addrs)
			default:
				require.NoError(t, err)
				require.False(t, request)
				if count, known := counts[v.Name]; known {
					require.Len(t, addrs, count)
				}
				require.Equal(t, []byte(v.Any), wire.AppendResponse(nil, addrs))
			}
		})
	}
}
