package lp2p

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// pingCounter counts the pings that yamux writes, but not the answers.
type pingCounter struct {
	net.Conn
	pings *atomic.Int64
}

func (c pingCounter) Write(frame []byte) (int, error) {
	const ping, syn = 2, 1
	if frame[yamuxTypeAt] == ping && binary.BigEndian.Uint16(frame[yamuxFlagsAt:]) == syn {
		c.pings.Add(1)
	}

	return c.Conn.Write(frame)
}

// Of the two ends of an idle connection one pings in each interval, even where a ping takes no
// time and finds the remote about to send its own.
func TestEndsOfAnIdleConnectionDoNotBothPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns = 20
		timeouts, muxer := DefaultTimeouts(), newMuxer(DefaultTimeouts())
		var pings atomic.Int64
		for range conns {
			near, far := stacktest.Path{Rate: fastEthernet, Unsent: 64 << 10}.Connect()
			one, err := muxer.NewConn(pingCounter{near, &pings}, false, nil)
			require.NoError(t, err)
			t.Cleanup(func() { _ = one.Close() })
			other, err := muxer.NewConn(pingCounter{far, &pings}, true, nil)
			require.NoError(t, err)
			t.Cleanup(func() { _ = other.Close() })
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		measured := 2 * conns * int64(time.Hour/rttInterval+1)
		t.Logf("%d pings, %d of them measure the round trip", pings.Load(), measured)
		require.GreaterOrEqual(t, pings.Load(), conns*int64(time.Hour/timeouts.KeepAlive))
		require.LessOrEqual(t, pings.Load()-measured, conns*int64(time.Hour/timeouts.KeepAlive)*9/8)
	})
}
