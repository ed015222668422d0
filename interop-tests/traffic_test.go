package interoptests

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// endpoint is a peer of any stack that a test can control and observe.
type endpoint interface {
	ID() string
	Addr() string     // ID@IP:port
	HostPort() string // Addr without the ID
	NodeInfo() protocol.NodeInfo
	Dial(addr string)
	Send(to string, channel byte, size, count int, seed uint64)
	AwaitUp(t testing.TB, id string, n int) protocol.Event
	AwaitUpAs(t testing.TB, moniker string, n int) protocol.Event
	AwaitDown(t testing.TB, id string, n int) protocol.Event
	AwaitReceived(t testing.TB, id string, channel byte, n int) []protocol.Digest
	AwaitText(t testing.TB, kind string, parts ...string) protocol.Event
	Until(ctx context.Context, done func([]protocol.Event) bool) bool
	Events(match func(protocol.Event) bool) []protocol.Event
}

// channels are the channels of every endpoint, and realChannels those of a real node
// (docs/wire.md §7).
var (
	channels     = []byte{0x20, 0x21, 0x22, 0x30, 0x40}
	realChannels = []byte{0x20, 0x21, 0x22, 0x23, 0x30, 0x40, discoveryChannel}
)

// batch is a number of messages of one size.
type batch struct{ size, count int }

// traffic is sent from one endpoint to another, on all channels at the same time.
type traffic map[byte][]batch

// on returns traffic with the same batches on every channel.
func on(channels []byte, batches ...batch) traffic {
	tr := make(traffic, len(channels))
	for _, ch := range channels {
		tr[ch] = batches
	}

	return tr
}

// edges has the sizes around the end of a packet (1024), and the capacity of the consensus
// channels. It ends with a small message, which would reveal a repeated large one.
var edges = []batch{{1, 3}, {1023, 3}, {1024, 3}, {1025, 3}, {1 << 20, 1}, {1, 1}}

var (
	allSizes = on(channels, edges...)
	// fewSizes shows that a connection works.
	fewSizes = on(channels, batch{1, 2}, batch{1025, 2})
	// largest has a message of each channel's capacity, except on 0x30: all messages that
	// are unfinished at the same time must fit into the 20 MiB that a connection buffers.
	largest = traffic{
		0x20:             {{1 << 20, 1}, {1, 1}},
		0x21:             {{1 << 20, 1}, {1, 1}},
		0x22:             {{1 << 20, 1}, {1, 1}},
		0x23:             {{1 << 20, 1}, {1, 1}},
		0x30:             {{1 << 20, 1}, {1, 1}},
		0x40:             {{8454144, 1}, {1, 1}},
		discoveryChannel: {{5242880, 1}, {1, 1}},
	}
	// largestTx has the largest message on 0x30 that a connection can buffer, which is below
	// the channel's capacity. It fills the budget of the sender, so nothing is sent behind it.
	largestTx  = traffic{0x30: {{20 << 20, 1}}}
	afterwards = traffic{0x30: {{1, 1}}}
)

// startGno starts a peer of the newest version.
func startGno(t *testing.T, moniker string) *legacy.Peer {
	t.Helper()

	return startVersion(t, legacy.V1_7_1, moniker)
}

// startVersion starts a peer of the version.
func startVersion(t *testing.T, version, moniker string) *legacy.Peer {
	t.Helper()

	return legacy.Start(t, legacy.Options{Version: version, Moniker: moniker, AllowDuplicateIP: true})
}

// forEachVersion runs the test against every version of gno at the same time.
func forEachVersion(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	for _, version := range legacy.Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// requireConnected waits until the two are peers, of which the dialer has dialed the acceptor, and
// checks that each has the other's NodeInfo.
func requireConnected(t *testing.T, dialer, acceptor endpoint) {
	t.Helper()
	awaitConnected(t, dialer, acceptor)
	atDialer := dialer.AwaitUp(t, acceptor.ID(), 1)
	atAcceptor := acceptor.AwaitUp(t, dialer.ID(), 1)
	require.True(t, atDialer.Outbound)
	require.False(t, atAcceptor.Outbound)
	require.Equal(t, acceptor.Addr(), atDialer.Addr)
	require.Equal(t, acceptor.NodeInfo(), *atDialer.NodeInfo)
	require.Equal(t, dialer.NodeInfo(), *atAcceptor.NodeInfo)
}

const (
	// handshakeTime is what gno and our native stack give each step of a handshake, which a busy
	// machine may exceed.
	handshakeTime = 3 * time.Second
	// dialTime is longer than any dial with its handshake. Gno tells nobody that a dial has failed.
	dialTime = 5 * handshakeTime
	// attempts is how often something is begun that fails when a handshake takes too long.
	attempts = 6
)

// repeats counts the dials that were late and repeated, by the IDs of their ends.
var repeats = struct {
	sync.Mutex
	of map[[2]string]int
}{of: make(map[[2]string]int)}

// repeat logs that a dial is repeated, and counts it.
func repeat(t *testing.T, dialer, acceptor endpoint) {
	t.Helper()
	repeats.Lock()
	defer repeats.Unlock()
	repeats.of[[2]string{dialer.ID(), acceptor.ID()}]++
	t.Logf("no peers %s after the dial %d from %s to %s", dialTime,
		repeats.of[[2]string{dialer.ID(), acceptor.ID()}], dialer.Addr(), acceptor.Addr())
}

// repeatsBetween returns how many dials between the two were repeated.
func repeatsBetween(a, b string) int {
	repeats.Lock()
	defer repeats.Unlock()

	return repeats.of[[2]string{a, b}] + repeats.of[[2]string{b, a}]
}

// awaitConnected waits until the two are peers, and dials again if that takes longer than a dial. A
// late handshake may make a peer at one end only, for a moment. A dial of ours that fails for another
// reason fails the test.
func awaitConnected(t *testing.T, dialer, acceptor endpoint) {
	t.Helper()
	for range attempts {
		ctx, cancel := context.WithTimeout(t.Context(), dialTime)
		both := dialer.Until(ctx, hasPeer(acceptor.ID())) && acceptor.Until(ctx, hasPeer(dialer.ID())) &&
			dialer.Until(ctx, hasPeer(acceptor.ID()))
		cancel()
		if both {
			return
		}
		if ours, ok := dialer.(*node); ok {
			require.NoError(t, ours.broken(types.ID(acceptor.ID())))
		}
		repeat(t, dialer, acceptor)
		dialer.Dial(acceptor.Addr())
	}
	require.Fail(t, "no dial comes about", "from %s to %s", dialer.Addr(), acceptor.Addr())
}

// hasPeer returns whether the last thing that events tell of a peer is that it has connected.
func hasPeer(id string) func([]protocol.Event) bool {
	return func(events []protocol.Event) (connected bool) {
		for _, e := range events {
			if e.Peer == id && (e.Event == protocol.EventPeerUp || e.Event == protocol.EventPeerDown) {
				connected = e.Event == protocol.EventPeerUp
			}
		}

		return connected
	}
}

// dialUntil makes the dialer dial the address until done holds for what an endpoint has seen, and
// dials again if that takes longer than a dial.
func dialUntil(t *testing.T, dialer endpoint, addr string, at endpoint, done func([]protocol.Event) bool) {
	t.Helper()
	for range attempts {
		dialer.Dial(addr)
		ctx, cancel := context.WithTimeout(t.Context(), dialTime)
		held := at.Until(ctx, done)
		cancel()
		if held {
			return
		}
		t.Logf("the dial from %s to %s has no such end within %s", dialer.Addr(), addr, dialTime)
	}
	require.Fail(t, "no dial has the wanted end", "from %s to %s", dialer.Addr(), addr)
}

// exchange sends the traffic both ways at the same time, and requires that it arrives byte for
// byte and in order.
func exchange(t *testing.T, a, b endpoint, tr traffic) {
	t.Helper()
	exchangeAs(t, a, b, a.ID(), b.ID(), tr)
}

// exchangeAs is exchange between endpoints that know each other under the given
// IDs: b calls its peer aID and a calls its peer bID.
func exchangeAs(t *testing.T, a, b endpoint, aID, bID string, tr traffic) {
	t.Helper()
	checkAtB := send(a, b, aID, bID, tr)
	checkAtA := send(b, a, bID, aID, tr)
	checkAtB(t)
	checkAtA(t)
}

// send sends the traffic and returns a check that it has arrived. All earlier messages must
// have arrived.
func send(from, to endpoint, fromID, toID string, tr traffic) (check func(*testing.T)) {
	before := make(map[byte]int)
	for ch, batches := range tr {
		before[ch] = len(to.Events(func(e protocol.Event) bool {
			return e.Event == protocol.EventReceived && e.Peer == fromID && e.Channel == ch
		}))
		for i, b := range batches {
			from.Send(toID, ch, b.size, b.count, seedOf(from, to, ch, i, before[ch]))
		}
	}

	return func(t *testing.T) {
		t.Helper()
		for ch, batches := range tr {
			var want []protocol.Digest
			for i, b := range batches {
				seed := seedOf(from, to, ch, i, before[ch])
				for j := range b.count {
					want = append(want, protocol.DigestOf(protocol.Payload(seed, j, b.size)))
				}
			}
			got := to.AwaitReceived(t, fromID, ch, before[ch]+len(want))
			require.Equal(t, want, got[before[ch]:], "from %s to %s on %#02x", from.Addr(), to.Addr(), ch)
		}
	}
}

// seedOf returns a different seed for every batch of a test.
func seedOf(from, to endpoint, channel byte, index, before int) uint64 {
	h := fnv.New64a()
	// A hash's Write never fails.
	_, _ = fmt.Fprint(h, from.ID(), to.ID(), channel, index, before)

	return h.Sum64()
}
