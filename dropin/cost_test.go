package dropin

import (
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/stretchr/testify/require"
)

// lastMessage is a gno reactor that keeps the last message and its peer.
type lastMessage struct {
	p2p.BaseReactor
	peer p2p.PeerConn
	msg  []byte
}

func (k *lastMessage) Receive(_ byte, peer p2p.PeerConn, msg []byte) { k.peer, k.msg = peer, msg }

// TestMessagesDoNotAllocate checks that messages pass in both directions without a copy or
// an allocation, and from the same peer each time.
func TestMessagesDoNotAllocate(t *testing.T) {
	var (
		ours    = newSink()
		gno     = PeerConn(ours)
		wrapper = FromPeerConn(&gnoWrapped{gno})
		there   = &lastMessage{}
		reactor = FromReactor(there)
		behind  = &caller{}
		sw      = newToSwitch(behind)
		msg     = []byte("message")
	)
	for _, c := range []struct {
		name string
		call func()
		got  *[]byte
	}{
		{"Receive", func() { reactor.Receive(testChannel, ours, msg) }, &there.msg},
		{"Receive of a wrapped peer", func() { reactor.Receive(testChannel, wrapper, msg) }, &there.msg},
		{"Send", func() { gno.Send(testChannel, msg) }, &ours.last},
		{"TrySend", func() { gno.TrySend(testChannel, msg) }, &ours.last},
		{"Send of a wrapped peer", func() { wrapper.Send(testChannel, msg) }, &ours.last},
		{"Broadcast", func() { sw.Broadcast(testChannel, msg) }, &behind.last},
	} {
		t.Run(c.name, func(t *testing.T) {
			*c.got = nil
			require.Zero(t, testing.AllocsPerRun(100, c.call))
			require.Equal(t, len(msg), len(*c.got))
			require.Same(t, &msg[0], &(*c.got)[0])
		})
	}

	reactor.Receive(testChannel, ours, msg)
	require.Same(t, gno, there.peer)
	reactor.Receive(testChannel, wrapper, msg)
	require.IsType(t, &gnoWrapped{}, there.peer)
}

// TestPeersDoNotAllocate checks that reading the peer set does not allocate.
func TestPeersDoNotAllocate(t *testing.T) {
	sw := newSwitchWith(t, stacks()[0], loopbackConfig(), nil)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if sw.Peers().Get("g1nobody") != nil {
			t.Fail()
		}
	}))
}
