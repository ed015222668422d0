package lp2p

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// useUpStreams opens streams on a connection until the remote grants no more.
func useUpStreams(t testing.TB, c network.Conn) {
	t.Helper()
	for range 4 * quicStreams {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		s, err := c.NewStream(ctx)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded, "the stream waits")

			return
		}
		t.Cleanup(func() { _ = s.Reset() })
	}
	require.Fail(t, "the remote limits nothing")
}

// A remote that accepts no more streams delays neither a message nor a dial for longer than
// the handshake timeout. Over TCP yamux limits the streams that wait to be accepted.
func TestRemoteGrantsNoStream(t *testing.T) {
	for _, quic := range []bool{false, true} {
		t.Run(map[bool]string{false: "TCP", true: "QUIC"}[quic], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memnet, udp := newMemNet(), &silentUDP{internet: newInternet()}
				var optsA, optsB []Option
				if quic {
					optsA = []Option{udp.quic(t, "10.0.0.1"), WithQUICOnly()}
					optsB = []Option{udp.quic(t, "10.0.0.2"), WithQUICOnly()}
				}
				a := memnet.newNode(t, net.IPv4(10, 0, 0, 1), optsA...)
				b := memnet.newNode(t, net.IPv4(10, 0, 0, 2), optsB...)
				b.acceptLoop(t)
				p, err := a.dial(t, b)
				require.NoError(t, err)
				require.NoError(t, p.Start())
				synctest.Wait() // streams of identify are done, and leave no room later
				if !quic {
					memnet.silence() // so that nothing is taken
				}
				useUpStreams(t, p.s.conn)

				begun := time.Now()
				_, err = a.DialAs(context.Background(), b.NetAddress(), delegated(a), a.behavior)
				require.ErrorContains(t, err, "lets no control stream be opened")
				require.ErrorContains(t, err, b.key.ID().String())
				require.Equal(t, DefaultTimeouts().Handshake, time.Since(begun))

				begun = time.Now()
				require.True(t, p.Send(chA, []byte("waits")))
				f := a.failure(t)
				require.Same(t, p, f.peer)
				require.ErrorIs(t, f.err, context.DeadlineExceeded)
				require.ErrorContains(t, f.err, b.key.ID().String())
				require.ErrorContains(t, f.err, "channel 0x20")
				require.Equal(t, DefaultTimeouts().Handshake+p.s.grace(), time.Since(begun))
				if quic {
					var bye *GoodbyeError
					require.ErrorAs(t, b.failure(t).err, &bye)
					require.Equal(t, compat.RejectUnspecified, bye.Code)
				}
			})
		})
	}
}
