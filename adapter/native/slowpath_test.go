package native

import (
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

// urgentDelays measures how long a message of high priority takes under bulk.
func urgentDelays(t *testing.T, fixed bool) (p50, longest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		path := stacktest.Path{Delay: 50 * time.Millisecond, Rate: 250_000, Unsent: socket.MaxUnsent}
		near, far := path.Connect()
		if fixed {
			near = stacktest.Fixed{Conn: near}
		}
		dialer, listener := newTransport(t, "test"), newTransport(t, "test")
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
			func(msg []byte) bool { return out.Send(chB, msg) },
			func(msg []byte) bool { return out.Send(chA, msg) },
			a.received, func() { require.NoError(t, out.Stop()) })
	})

	return p50, longest
}

// Little waits below the channels of a slow path, so that an urgent message overtakes bulk data
// soon. At the default limits it would wait for most of half a second.
func TestUrgentMessageOnASlowPath(t *testing.T) {
	p50, longest := urgentDelays(t, false)
	fixed50, fixedLongest := urgentDelays(t, true)
	t.Logf("p50 %v, longest %v; with fixed limits %v, %v", p50, longest, fixed50, fixedLongest)
	require.Less(t, longest, 100*time.Millisecond)
	require.Less(t, longest, fixed50/2)
}
