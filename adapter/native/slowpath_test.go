package native

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// announcer tells when a message has come on one channel.
type announcer struct {
	compat.BaseReactor
	channel  byte
	received chan struct{}
}

func (a *announcer) Receive(ch byte, _ compat.PeerConn, _ []byte) {
	if ch == a.channel {
		a.received <- struct{}{}
	}
}

// announcingBehavior has an announcer for both channels.
type announcingBehavior struct {
	*behavior
	*announcer
}

func (b announcingBehavior) Reactors() map[byte]compat.Reactor {
	return map[byte]compat.Reactor{chA: b.announcer, chB: b.announcer}
}

// urgentDelays measures how long a message of high priority takes under bulk, in messages of
// bulk bytes, at the default limits.
func urgentDelays(t *testing.T, path stacktest.Path, bulk int, fixed bool) (p50, longest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		near, far := path.Connect()
		if fixed {
			near = stacktest.Fixed{Conn: near}
		}
		dialer, listener := newDefaultTransport(t, "test"), newDefaultTransport(t, "test")
		to := loopback()
		to.ID = listener.nodeKey.ID()
		a := &announcer{channel: chA, received: make(chan struct{})}
		a.BaseReactor = *compat.NewBaseReactor("announcer", a)
		accepted := make(chan compat.PeerConn, 1)
		go func() {
			in, err := establish(t, listener, far, nil, announcingBehavior{newBehavior(), a})
			if err != nil {
				t.Errorf("accept: %v", err)
			}
			accepted <- in
		}()
		out, err := establish(t, dialer, near, &to, newBehavior())
		require.NoError(t, err)
		require.NoError(t, (<-accepted).Start())
		require.NoError(t, out.Start())
		p50, longest = stacktest.UrgentDelays(t, path,
			func(msg []byte) bool {
				for part := range slices.Chunk(msg, bulk) {
					if !out.Send(chB, part) {
						return false
					}
				}

				return true
			},
			func(msg []byte) bool { return out.Send(chA, msg) },
			a.received, func() { require.NoError(t, out.Stop()) })
	})

	return p50, longest
}

// Little waits below the channels of a slow path, so that an urgent message overtakes bulk data
// soon. At the default limits it would wait for most of half a second.
func TestUrgentMessageOnASlowPath(t *testing.T) {
	path := stacktest.Path{Delay: 50 * time.Millisecond, Rate: 250_000, Unsent: socket.MaxUnsent}
	p50, longest := urgentDelays(t, path, 64<<10, false)
	fixed50, fixedLongest := urgentDelays(t, path, 64<<10, true)
	t.Logf("p50 %v, longest %v; with fixed limits %v, %v", p50, longest, fixed50, fixedLongest)
	require.Less(t, longest, 100*time.Millisecond)
	require.Less(t, longest, fixed50/2)
}

// At the default rates, bulk on a fast path does not pile up at the receiver, which reads no
// faster than its rate: an urgent message waits for one batch of the sender, and one pause of
// the receiver. Small messages leave the last frame of each batch filled in part.
func TestUrgentMessageAtDefaultRates(t *testing.T) {
	path := stacktest.Path{Delay: 10 * time.Millisecond, Rate: 1 << 30, Unsent: socket.MaxUnsent}
	for _, bulk := range []int{64 << 10, 600} {
		p50, longest := urgentDelays(t, path, bulk, false)
		t.Logf("under messages of %d bytes: p50 %v, longest %v", bulk, p50, longest)
		require.Less(t, longest, 10*time.Millisecond)
	}
}
