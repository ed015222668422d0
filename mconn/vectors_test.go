package mconn

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func load(t *testing.T, name string, into any) {
	t.Helper()

	data, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()

	b, err := hex.DecodeString(s)
	require.NoError(t, err)

	return b
}

type vectors struct {
	Packets []struct {
		Name, Sized string
	}
	MessageSplit struct {
		MaxPayload int `json:"max_payload"`
		Cases      []struct {
			Channel byte
			Message string
			Packets []string
		}
	} `json:"message_split"`
	MaxPacketSize []struct {
		Payload int
		Size    int `json:"max_packet_msg_size"`
	} `json:"max_packet_size"`
}

// TestMessageSplit compares the packets of sent messages with the original's.
func TestMessageSplit(t *testing.T) {
	t.Parallel()

	var v vectors
	load(t, "vectors.json", &v)
	require.NotEmpty(t, v.MessageSplit.Cases)

	config := unlimited()
	config.MaxPacketMsgPayloadSize = v.MessageSplit.MaxPayload

	for _, c := range v.MessageSplit.Cases {
		bubble(t, config, []*compat.ChannelDescriptor{desc(c.Channel, 1)}, func(t *testing.T, n *node, p peer) {
			if c.Message == "" {
				require.False(t, n.Send(c.Channel, nil), "an empty message is not sent")
				return
			}

			require.True(t, n.Send(c.Channel, unhex(t, c.Message)))

			for _, want := range c.Packets {
				got := make([]byte, len(want)/2)
				_, err := io.ReadFull(p.conn, got)
				require.NoError(t, err)
				require.Equal(t, want, hex.EncodeToString(got))
			}
		})

		// The same packets decode to the message.
		bubble(t, config, []*compat.ChannelDescriptor{desc(c.Channel, 1)}, func(t *testing.T, n *node, p peer) {
			for _, packet := range c.Packets {
				p.write(unhex(t, packet))
			}
			require.NoError(t, p.conn.Close())
			<-n.Done()

			if c.Message == "" {
				require.ErrorIs(t, n.onlyError(t), ErrEmptyMessage)
				return
			}
			require.Equal(t, []message{{c.Channel, string(unhex(t, c.Message))}}, n.messages())
		})
	}
}

func TestMaxPacketSize(t *testing.T) {
	t.Parallel()

	var v vectors
	load(t, "vectors.json", &v)
	require.NotEmpty(t, v.MaxPacketSize)

	for _, c := range v.MaxPacketSize {
		config := unlimited()
		config.MaxPacketMsgPayloadSize = c.Payload

		if c.Payload == 0 {
			require.ErrorIs(t, config.Validate(), ErrInvalidConfig)
			continue
		}

		conn, remote := newMemConn(plenty)
		require.Equal(t, c.Size, newNode(t, conn, config, oneChannel...).maxPacket)
		require.NoError(t, conn.Close())
		require.NoError(t, remote.Close())
	}
}

// TestPacketVectors feeds every packet of the vectors to a connection without
// channels. It accepts pings and pongs; for a message it fails with the channel's ID.
func TestPacketVectors(t *testing.T) {
	t.Parallel()

	var v vectors
	load(t, "vectors.json", &v)
	require.NotEmpty(t, v.Packets)

	for _, c := range v.Packets {
		body, _, err := nextPacket(unhex(t, c.Sized), 1056)
		require.NoError(t, err)
		packet, err := wire.DecodePacket(body)
		require.NoError(t, err)

		bubble(t, unlimited(), nil, func(t *testing.T, n *node, p peer) {
			p.write(unhex(t, c.Sized))
			require.NoError(t, p.conn.Close())
			<-n.Done()

			if packet.Kind != wire.PacketMsg {
				require.ErrorIs(t, n.onlyError(t), io.EOF, c.Name)
				return
			}

			var chErr *ChannelError
			require.ErrorAs(t, n.onlyError(t), &chErr, c.Name)
			require.ErrorIs(t, chErr, ErrUnknownChannel)
			require.Equal(t, packet.Channel, chErr.Channel)
		})
	}
}

// TestTranscripts replays recorded sessions of real peers.
func TestTranscripts(t *testing.T) {
	t.Parallel()

	var transcripts []struct {
		Name    string
		Packets []struct {
			Sized, Type, Payload string
			Channel, EOF         byte
		}
	}
	load(t, "transcripts.json", &transcripts)
	require.NotEmpty(t, transcripts)

	descs := []*compat.ChannelDescriptor{desc(0x20, 5), desc(0x21, 10), desc(0x22, 5), desc(0x40, 10), desc(0x50, 1)}

	for _, tr := range transcripts {
		var (
			want    []message
			partial = map[byte]string{}
		)

		bubble(t, unlimited(), descs, func(t *testing.T, n *node, p peer) {
			for _, packet := range tr.Packets {
				if packet.EOF == 1 && packet.Payload == "" {
					continue // the recording contains an empty message, which is refused here
				}

				p.write(unhex(t, packet.Sized))

				if packet.Type == "/p2p.Msg" {
					partial[packet.Channel] += string(unhex(t, packet.Payload))
				}
				if packet.EOF == 1 {
					want = append(want, message{packet.Channel, partial[packet.Channel]})
					partial[packet.Channel] = ""
				}
			}

			require.NoError(t, p.conn.Close())
			<-n.Done()
			require.ErrorIs(t, n.onlyError(t), io.EOF, tr.Name)
			require.NotEmpty(t, want)
			require.Equal(t, want, n.messages(), tr.Name)
		})
	}
}

// TestByteVerdicts feeds packet streams with a recorded verdict of the original.
func TestByteVerdicts(t *testing.T) {
	t.Parallel()

	var verdicts struct {
		ByteCases []struct {
			ID, Input string
			Accept    bool
			Decoded   []any
		} `json:"byte_cases"`
	}
	load(t, "verdicts.json", &verdicts)
	require.NotEmpty(t, verdicts.ByteCases)

	for _, c := range verdicts.ByteCases {
		bubble(t, unlimited(), []*compat.ChannelDescriptor{desc(0x20, 1), desc(0, 1)}, func(t *testing.T, n *node, p peer) {
			p.write(unhex(t, c.Input))
			require.NoError(t, p.conn.Close())
			<-n.Done()

			err := n.onlyError(t)
			accepted := errors.Is(err, io.EOF) || errors.Is(err, ErrEmptyMessage)
			require.Equal(t, c.Accept, accepted, "%s: %v", c.ID, err)
		})
	}
}
