package native

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// The receive rate counts sealed frames: a peer that sends a message byte by byte, each in a
// frame of its own, gets no more over the wire than one that fills them.
func TestRecvRateCountsSealedBytes(t *testing.T) {
	const rate = 100_000
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, func(c *mconn.MConnConfig) { c.RecvRate = rate })
		l.connect()
		begun := time.Now()
		packet := wire.AppendMsg(nil, 0x20, true, make([]byte, 990))
		for i := range packet {
			l.p.chunks(packet[i : i+1])
		}
		require.Equal(t, byte(0x20), next(t, l.b.messages).ch)

		total := float64(len(packet) * frameSize)
		const allowed = rate * 33 / 32
		const burst = 10*1056 + 48*frameSize // of what is allowed, and one read of the secret connection
		took := time.Since(begun).Seconds()
		require.GreaterOrEqual(t, took, (total-burst)/allowed)
		require.LessOrEqual(t, took, total/allowed)
		require.Empty(t, l.b.errs)
	})
}
