package nativecases

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// What a node has to accept is well formed whatever the channel is, and of the largest packets there is one
// at the limit and one beyond it.
func TestPacketsOfAnyChannel(t *testing.T) {
	limit := wire.MaxPacketSize(1024)
	for _, ch := range []byte{0, 0x50, 0x7f, 0x80, 0x90, 0xff} {
		for _, row := range msgRows {
			sent := row.sends(ch)
			switch row.name {
			case "message-1035", "piece-1037":
				require.Greater(t, len(sent), limit, "%s on channel %#x", row.name, ch)
			case "message-1034", "piece-1036":
				require.Len(t, sent, limit, "%s on channel %#x", row.name, ch)
			}
			if row.want != conform.Accepts {
				continue
			}
			rest := bytes.NewReader(sent)
			body, err := wire.ReadSized(rest, limit)
			require.NoError(t, err)
			require.Zero(t, rest.Len())
			packet, err := wire.DecodePacket(body)
			require.NoError(t, err, "%s on channel %#x", row.name, ch)
			require.Equal(t, ch, packet.Channel, row.name)
		}
	}
}
