package compattest

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func sendPromises() []switchPromise {
	return []switchPromise{
		{"Send/FIFO", testFIFO},
		{"Send/RefusedAtOnce", testSendRefused},
		{"Send/PrefixWhenReceiverStopsPeer", testPrefix(func(e ends) { e.b.StopPeerForError(e.atB, errTest) })},
		{"Send/PrefixWhenSenderStopsPeer", testPrefix(func(e ends) { e.a.StopPeerForError(e.atA, errTest) })},
		{"Send/PrefixWhenReceiverClosesConn", testPrefix(func(e ends) { logClose(e.t, e.atB) })},
		{"Send/PrefixWhenSenderClosesConn", testPrefix(func(e ends) { logClose(e.t, e.atA) })},
		{"Send/PrefixWhenReceiverStops", testPrefix(func(e ends) { requireStop(e.t, e.b) })},
		{"Send/PrefixWhenSenderStops", testPrefix(func(e ends) { requireStop(e.t, e.a) })},
	}
}

// numbered returns a message with a number in its first 8 bytes.
func numbered(i uint64, size int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, size), i)[:size]
}

// sequence checks that the messages of each channel arrive in order, without a gap, and
// once.
type sequence struct {
	cluster *cluster

	mtx    sync.Mutex
	next   map[byte]uint64
	faults []string
}

func newSequence(c *cluster) *sequence {
	return &sequence{cluster: c, next: make(map[byte]uint64)}
}

// install makes the reactor of a node check the sequence.
func (s *sequence) install(setup *nodeSetup) {
	setup.reactor.quiet = true
	setup.reactor.onReceive = s.receive
}

func (s *sequence) receive(ch byte, _ compat.PeerConn, msg []byte) {
	s.mtx.Lock()
	if got := binary.BigEndian.Uint64(msg); got != s.next[ch] {
		s.faults = append(s.faults, fmt.Sprintf("channel %#02x: %d after %d", ch, got, s.next[ch]))
	}
	s.next[ch]++
	s.mtx.Unlock()
	s.cluster.grown()
}

// got returns how many messages of the channel have arrived.
func (s *sequence) got(ch byte) uint64 {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.next[ch]
}

func (s *sequence) requireNoGap(t *testing.T) {
	t.Helper()
	s.mtx.Lock()
	defer s.mtx.Unlock()
	require.Empty(t, s.faults)
}

// Messages of all sizes pass on both channels and in both directions at once.
func testFIFO(t *testing.T, c *cluster) {
	const messages = 500
	ofA, ofB := newSequence(c), newSequence(c)
	a, b := c.started(t, ofB.install), c.started(t, ofA.install)
	atA, atB := c.connect(t, a, b)
	var wg sync.WaitGroup
	for _, peer := range []compat.PeerConn{atA, atB} {
		for _, ch := range []byte{ChannelA, ChannelB} {
			wg.Go(func() {
				for i := range uint64(messages) {
					if !peer.Send(ch, numbered(i, 8+int(i*i)%5000)) {
						t.Errorf("message %d on channel %#02x was not taken", i, ch)

						return
					}
				}
			})
		}
	}
	wg.Wait()
	for _, seq := range []*sequence{ofA, ofB} {
		for _, ch := range []byte{ChannelA, ChannelB} {
			c.await(t, "every message that was taken arrives", func() bool { return seq.got(ch) >= messages })
		}
		seq.requireNoGap(t)
	}
	require.Zero(t, a.log.count(disconnected, b.id()))
}

func testSendRefused(t *testing.T, c *cluster) {
	a := c.started(t)
	b := c.started(t, func(s *nodeSetup) {
		s.Info.Channels = []byte{ChannelA}
		s.reactor.listenOn(ChannelA)
	})
	peer, _ := c.connect(t, a, b)
	for _, send := range []func(byte, []byte) bool{peer.Send, peer.TrySend} {
		require.False(t, send(ChannelB, []byte("x")), "on a channel that the remote does not know")
		require.False(t, send(0xee, []byte("x")), "on a channel that nobody knows")
	}
	c.exchange(t, a, b)
	c.disconnect(t, a, b)
	for _, send := range []func(byte, []byte) bool{peer.Send, peer.TrySend} {
		require.False(t, send(ChannelA, []byte("x")), "on a stopped peer")
	}
}

// ends holds the two ends of a connection on which a sends to b.
type ends struct {
	t        *testing.T
	a, b     *switchNode
	atA, atB compat.PeerConn
}

func logClose(t *testing.T, p compat.PeerConn) {
	t.Helper()
	if err := p.CloseConn(); err != nil {
		t.Logf("closing: %v", err)
	}
}

func requireStop(t *testing.T, n *switchNode) {
	t.Helper()
	require.NoError(t, n.Stop())
}

// testPrefix returns a test that kills a connection under traffic. Both ends must be torn
// down, and the messages that arrived must be a prefix of those sent.
func testPrefix(kill func(ends)) func(*testing.T, *cluster) {
	return func(t *testing.T, c *cluster) {
		const rounds, messages = 4, 200
		for range rounds {
			seq := newSequence(c)
			a, b := c.started(t), c.started(t, seq.install)
			atA, atB := c.connect(t, a, b)
			taken := make([]uint64, 2)
			var wg sync.WaitGroup
			for i, ch := range []byte{ChannelA, ChannelB} {
				wg.Go(func() {
					for atA.Send(ch, numbered(taken[i], 100)) {
						taken[i]++
					}
				})
			}
			c.await(t, "messages are received", func() bool {
				return seq.got(ChannelA) >= messages && seq.got(ChannelB) >= messages
			})
			kill(ends{t, a, b, atA, atB})
			c.awaitApart(t, a, b)
			wg.Wait()
			requireQuit(t, atA)
			requireQuit(t, atB)
			seq.requireNoGap(t)
			// A Send that returned false may have sent its message.
			require.LessOrEqual(t, seq.got(ChannelA), taken[0]+1)
			require.LessOrEqual(t, seq.got(ChannelB), taken[1]+1)
		}
	}
}

// requireQuit checks that a peer has stopped.
func requireQuit(t *testing.T, p compat.PeerConn) {
	t.Helper()
	require.False(t, p.IsRunning())
	await(t, p.Quit(), "a peer that was stopped quits")
}
