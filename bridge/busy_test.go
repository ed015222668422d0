package bridge

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// line is a pair of a bridge in which nothing is set but its target and longer times for handshakes. One
// end of it takes no message on chTxs until it is released.
type line struct {
	bridge       *Bridge
	pair         *pair
	near, far    *side // that of the sender, and that of the busy node
	sender, busy *node
	out, back    compat.PeerConn // the bridge as the sender and the busy node see it
	taken        chan struct{}   // closed when the reactor is busy
	release      func()
}

// newLine makes a pair whose sender is of one stack and whose busy node is of the other.
func newLine(t *testing.T, from string) *line {
	t.Helper()
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b, err := New(*types.GenerateNodeKey(), Config{
		NativeListen: loopback(), Libp2pListen: loopback(), Libp2pPeers: addresses(libp2p),
	}, quiet())
	require.NoError(t, err)
	b.patient()
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Stop()) })
	l := &line{bridge: b, sender: native, busy: libp2p, taken: make(chan struct{})}
	l.out, l.back = native.joinAtLast(t, b.NativeAddress()), libp2p.met(t)
	awaitPairs(t, b, 1)
	l.pair = b.slots.live()[0]
	l.near, l.far = l.pair.native, l.pair.libp2p
	if from == InitiatorLibp2p {
		l.sender, l.busy, l.out, l.back, l.near, l.far = l.busy, l.sender, l.back, l.out, l.far, l.near
	}

	hold, taken := make(chan struct{}), sync.OnceFunc(func() { close(l.taken) })
	see := func(m message) {
		if m.ch == chTxs {
			taken()
			<-hold
		}
	}
	l.busy.receive.Store(&see)
	l.release = sync.OnceFunc(func() { close(hold) })
	t.Cleanup(l.release) // before the nodes and the bridge stop

	return l
}

const (
	// busySize is the size of a message in bytes: a full queue of the bridge has less than its 20 MiB.
	busySize = 16 << 10
	// boundedBytes is far more than the queues, the windows and the sockets hold.
	boundedBytes = 256 << 20
)

// numbered returns message i.
func numbered(i int) string { return fmt.Sprintf("%08d", i) + strings.Repeat("x", busySize-8) }

// A reactor that is busy for longer than any Send waits holds the node on the other stack back,
// through the bridge: the pair stays, the bridge keeps no more than its queue, and all that was
// accepted arrives. The test runs beside others, since it waits for Sends that give up.
func TestBusyReactorHoldsTheOtherStackBack(t *testing.T) {
	t.Parallel()
	for _, from := range []string{InitiatorNative, InitiatorLibp2p} {
		t.Run("from "+from, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, from)
			opened := l.bridge.Status().Counters.PairsOpened
			accepted := l.fill(t)
			l.requireBounded(t)

			// Only the sender is held back.
			require.True(t, l.back.Send(chVotes, []byte("meanwhile")))
			require.Equal(t, "meanwhile", next(t, l.sender.messages).data)

			l.release()
			require.True(t, l.out.Send(chTxs, []byte(numbered(accepted))), "there is room again")
			for i := range accepted + 1 {
				if got := next(t, l.busy.messages).data; got != numbered(i) {
					require.Failf(t, "a message is lost or out of order", "message %d of %d begins with %.8s", i, accepted, got)
				}
			}
			l.requireSamePair(t, opened, accepted+1)
		})
	}
}

// fill sends until the back-pressure has reached the sender, one of whose Sends has waited for room in
// vain, and one of the bridge to the busy node has waited in vain too. So the reactor has been busy for
// longer than compat.SendTimeout, after which a bridge that trusts one Send would end the pair. It
// returns how many messages were accepted.
func (l *line) fill(t *testing.T) (accepted int) {
	t.Helper()
	for full := false; !full || l.far.stuck.Load() == 0; {
		if full = !l.out.Send(chTxs, []byte(numbered(accepted))); !full {
			accepted++
		}
		require.True(t, l.out.IsRunning(), "a full queue is no failure")
		require.False(t, isClosed(l.pair.ctx.Done()), "the pair has ended")
		require.Less(t, accepted*busySize, boundedBytes, "the sender is not held back")
	}
	require.True(t, isClosed(l.taken))
	require.False(t, l.out.TrySend(chTxs, []byte(numbered(accepted))))

	return accepted
}

// requireBounded requires that the bridge holds no more than the queue of the busy node's channel, what
// it has in its hands, and from a libp2p node what fits into the window of a stream. What a native node
// has sent and the bridge has not read is in the sockets, which the system bounds.
func (l *line) requireBounded(t *testing.T) {
	t.Helper()
	const (
		// One message waits for a place and another one is being received; 64 KiB are in the buffer of
		// the reader, and as much and a message are being written.
		inHand = 11 * busySize
		window = 8 << 20
	)
	read := l.near.peer.Status().RecvMonitor.Bytes
	bound := relayQueue*busySize + inHand + read/50 // packets have headers, of less than 2 %
	if l.near == l.pair.libp2p {
		bound, read = bound+window, l.out.Status().SendMonitor.Bytes // at most that
	}
	far := l.far.peer.Status()
	require.LessOrEqual(t, read-far.SendMonitor.Bytes, bound)
	queue := far.Channels[slices.IndexFunc(far.Channels, func(ch compat.ChannelStatus) bool { return ch.ID == chTxs })]
	require.Contains(t, []int{relayQueue, relayQueue + 1}, queue.SendQueueSize, "it is full; mconn counts the message being sent")
}

// requireSamePair requires that the pair has stayed, and has relayed as many messages to the busy node.
func (l *line) requireSamePair(t *testing.T, opened uint64, relayed int) {
	t.Helper()
	require.Equal(t, []*pair{l.pair}, l.bridge.slots.live())
	require.Equal(t, opened, l.bridge.Status().Counters.PairsOpened)
	require.Empty(t, l.sender.removed)
	require.Empty(t, l.busy.removed)
	require.Zero(t, l.far.stuck.Load())
	require.EqualValues(t, relayed, l.far.sent.traffic().Messages)
	require.Zero(t, l.bridge.journal.meterOf(l.far.name).channels[chTxs].dropped.Load())
}
