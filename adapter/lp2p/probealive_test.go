package lp2p

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func TestProbeAlive(t *testing.T) {
	for name, nodes := range map[string]func(*testing.T) (a, b *node, silence func()){
		"TCP": func(t *testing.T) (a, b *node, silence func()) {
			memnet := newMemNet()

			return memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2)), memnet.silence
		},
		"QUIC": func(t *testing.T) (a, b *node, silence func()) {
			memnet, udp := newMemNet(), &silentUDP{internet: newInternet()}

			return memnet.newNode(t, net.IPv4(10, 0, 0, 1), udp.quic(t, "10.0.0.1"), WithQUICOnly()),
				memnet.newNode(t, net.IPv4(10, 0, 0, 2), udp.quic(t, "10.0.0.2"), WithQUICOnly()),
				func() { udp.silent.Store(true) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, silence := nodes(t)
				free := make(chan struct{})
				b.reactor.hook = func(byte, compat.PeerConn, []byte) { <-free } // busy, not dead
				pa, pb := connect(t, a, b)
				require.True(t, pa.Send(chA, []byte("one")))
				for range 3 {
					pa.ProbeAlive(time.Second)
					<-time.After(2 * time.Second)
				}
				require.True(t, pa.IsRunning())
				require.True(t, pb.IsRunning())
				close(free)

				silence()
				begun := time.Now()
				pa.ProbeAlive(time.Minute)
				pa.ProbeAlive(1500 * time.Millisecond)
				pa.ProbeAlive(time.Hour)
				f := <-a.failures
				require.Same(t, pa, f.peer)
				require.ErrorIs(t, f.err, ErrProbeTimeout)
				require.LessOrEqual(t, time.Since(begun), 1500*time.Millisecond)
				<-pa.Quit()
			})
		})
	}
}

// The timeout of a probe begins when the peer is started.
func TestProbeAliveBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memnet := newMemNet()
		a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
		b.acceptLoop(t)
		p, err := a.dial(t, b)
		require.NoError(t, err)
		memnet.silence()
		p.ProbeAlive(time.Second)
		<-time.After(10 * time.Second)
		begun := time.Now()
		require.NoError(t, p.Start())
		require.ErrorIs(t, a.failure(t).err, ErrProbeTimeout)
		require.Equal(t, time.Second, time.Since(begun))
	})
}
