package interoptests

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// crossing holds two peers that have dialed each other before either could answer.
type crossing struct {
	gno        *legacy.Peer
	ours       *node
	relay      *relay
	weAreLower bool      // our ID, in string order
	begun      time.Time // before either has dialed
}

// TestSimultaneousDials checks the result of two crossed connections, which depends on gno's
// version (docs/wire.md §4.5). Our side never has two.
func TestSimultaneousDials(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version    string
		persistent bool // both sides dial until they are connected
		rounds     int
		check      func(*testing.T, crossing)
	}{
		{legacy.V1_7_1, false, 3, requireConnectionOfLowerID},
		{legacy.V1_4_0, true, 1, requireConnectionInTheEnd},
		{legacy.V1_1_0, false, 3, requireOurOneConnection},
	} {
		for _, weAreLower := range []bool{false, true} {
			lower := map[bool]string{false: "gno", true: "ours"}[weAreLower]
			t.Run(fmt.Sprintf("%s/%s has the lower ID", c.version, lower), func(t *testing.T) {
				t.Parallel()
				var crossed []crossing
				for range c.rounds {
					crossed = append(crossed, cross(t, c.version, c.persistent, weAreLower))
				}
				for _, x := range crossed { // they wait for pings at the same time
					c.check(t, x)
					requireNeverTwo(t, x)
					x.ours.Stop()
					x.gno.Stop()
				}
			})
		}
	}
}

// cross starts two peers that dial each other through a relay, which forwards nothing until
// both have dialed. Peers that dial once are started anew when a handshake takes too long.
func cross(t *testing.T, version string, persistent, weAreLower bool) crossing {
	t.Helper()
	for range attempts {
		x := crossOnce(t, version, persistent, weAreLower)
		if persistent || !x.isLate(t) {
			return x
		}
		t.Log("a handshake of crossed dials has taken too long")
		x.ours.Stop()
		x.gno.Stop()
	}
	require.Fail(t, "every handshake takes too long")
	panic("unreachable")
}

// isLate waits until both sides have had the connection that the node with the lower ID dialed, or
// its end, and reports whether it ended because a handshake had taken too long.
func (x crossing) isLate(t *testing.T) bool {
	t.Helper()
	var kept bool
	var link link
	require.Eventually(t, func() bool {
		links, _ := x.relay.snapshot()
		link, _ = x.kept(links)
		kept = len(x.ours.Events(isUp(x.weAreLower))) > 0 && len(x.gno.Events(isUp(!x.weAreLower))) > 0

		return kept || link.closed
	}, peerlog.Patience, 10*time.Millisecond)

	return !kept && link.lasted(x.begun)
}

// isUp returns whether an event tells that a peer has connected, by a dial of ours or of the peer.
func isUp(outbound bool) func(protocol.Event) bool {
	return func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp && e.Outbound == outbound }
}

func crossOnce(t *testing.T, version string, persistent, weAreLower bool) crossing {
	t.Helper()
	lower, upper := orderedKeys()
	gnoKey, ourKey := lower, upper
	if weAreLower {
		gnoKey, ourKey = upper, lower
	}
	r := startRelay(t)
	toGno, toOurs := r.listen(gnoKey.ID().String()), r.listen(ourKey.ID().String())

	gnoOptions := legacy.Options{
		Version: version, Moniker: "gno", Seed: gnoKey.PrivKey.Seed(), AllowDuplicateIP: true,
		PingInterval: pingInterval, PongTimeout: pongTimeout,
	}
	ourOptions := nodeOptions{moniker: "ours", key: ourKey, configure: func(c *mconn.MConnConfig) {
		c.PingInterval, c.PongTimeout = pingInterval, pongTimeout
	}}
	if persistent {
		gnoOptions.Persistent, ourOptions.persistent = []string{toOurs}, []string{toGno}
	}
	x := crossing{relay: r, weAreLower: weAreLower}
	x.gno, x.ours = legacy.Start(t, gnoOptions), startNative(t, ourOptions)
	x.begun = time.Now()
	if !persistent {
		x.gno.Dial(toOurs)
		x.ours.Dial(toGno)
	}
	r.await("both have dialed", func(links []link) bool {
		return slices.ContainsFunc(links, func(l link) bool { return l.target != links[0].target })
	})
	r.release(x.gno, x.ours)

	return x
}

func orderedKeys() (lower, upper *types.NodeKey) {
	lower, upper = types.GenerateNodeKey(), types.GenerateNodeKey()
	if lower.ID() > upper.ID() {
		lower, upper = upper, lower
	}

	return lower, upper
}

// kept returns the one of the two crossed connections that the node with the lower ID dialed,
// and the other one.
func (x crossing) kept(links []link) (kept, other link) {
	lowerDialed := func(l link) bool { return (l.target == x.gno.ID()) == x.weAreLower }
	if lowerDialed(links[0]) {
		return links[0], links[1]
	}

	return links[1], links[0]
}

// awaitKept waits until both sides have the connection that the node with the lower ID
// dialed, and no other one is open.
func (x crossing) awaitKept(t *testing.T) {
	t.Helper()
	const what = "the connection dialed by the lower ID"
	x.ours.Await(t, what, 1, isUp(x.weAreLower))
	x.gno.Await(t, what, 1, isUp(!x.weAreLower))
	x.relay.await("one connection", func(links []link) bool {
		kept, other := x.kept(links)
		require.False(t, kept.closed)

		return other.closed
	})
}

// requireConnectionOfLowerID checks versions from v1.5.1: both sides keep the connection that
// the node with the lower ID dialed.
func requireConnectionOfLowerID(t *testing.T, x crossing) {
	t.Helper()
	x.awaitKept(t)
	exchange(t, x.ours, x.gno, fewSizes)
	links, _ := x.relay.snapshot()
	require.Len(t, links, 2)
	require.Len(t, x.ours.sw.Peers().List(), 1)
	kept, _ := x.kept(links)
	require.False(t, kept.closed)
}

// requireConnectionInTheEnd checks v1.2.0 to v1.4.0, which keep the first connection. If we
// keep the other, none is left, or one that gno does not use (TestConnectionThatGnoIgnores),
// and the peers connect by another dial.
func requireConnectionInTheEnd(t *testing.T, x crossing) {
	t.Helper()
	x.relay.await("one connection that both use", func(links []link) bool {
		var open []link
		for _, l := range links {
			if !l.closed {
				open = append(open, l)
			}
		}

		return len(open) == 1 && usedByBoth(open[0])
	})
	exchange(t, x.ours, x.gno, fewSizes)
	require.Len(t, x.ours.sw.Peers().List(), 1)
}

// usedByBoth reports whether pings have passed both ways after the handshake's two frames.
func usedByBoth(l link) bool { return min(l.framesTo(), l.framesFrom()) >= 2+2 }

// requireOurOneConnection checks versions up to v1.1.0, which keep both connections. When we
// end one, gno removes the peer from its set by its ID. Then it cannot be told to send to the
// peer, but still serves the other connection.
func requireOurOneConnection(t *testing.T, x crossing) {
	t.Helper()
	x.awaitKept(t)
	send(x.ours, x.gno, x.ours.ID(), x.gno.ID(), fewSizes)(t)
	x.relay.await("pings", func(links []link) bool {
		kept, _ := x.kept(links)

		return usedByBoth(kept)
	})
	require.Len(t, x.ours.sw.Peers().List(), 1)
}

// requireNeverTwo checks that each of our connections began after the end of the last.
func requireNeverTwo(t *testing.T, x crossing) {
	t.Helper()
	connected := 0
	for _, e := range x.ours.Events(func(e protocol.Event) bool { return e.Peer == x.gno.ID() }) {
		switch e.Event {
		case protocol.EventPeerUp:
			connected++
		case protocol.EventPeerDown:
			connected--
		}
		require.LessOrEqual(t, connected, 1)
	}
}

// TestConnectionThatGnoIgnores checks v1.2.0 to v1.4.0, which keep the first connection. They
// leave a second one that they have dialed open and unused, until Go's garbage collector
// closes it. When we keep that one, because gno has the lower ID, our liveness probe ends it,
// long before our first ping after 60 s.
func TestConnectionThatGnoIgnores(t *testing.T) {
	t.Parallel()
	for range attempts {
		if gnoIgnores(t) {
			return
		}
		t.Log("gno's handshake has taken too long")
	}
	require.Fail(t, "every handshake takes too long")
}

// gnoIgnores returns false if gno's handshake took too long, before there were two connections.
func gnoIgnores(t *testing.T) bool {
	t.Helper()
	gnoKey, ourKey := orderedKeys()
	relayToGno, relayToOurs := startRelay(t), startRelay(t)
	toGno, toOurs := relayToGno.listen(gnoKey.ID().String()), relayToOurs.listen(ourKey.ID().String())
	gno := legacy.Start(t, legacy.Options{
		Version: legacy.V1_4_0, Moniker: "gno", Seed: gnoKey.PrivKey.Seed(), AllowDuplicateIP: true,
	})
	ours := startNative(t, nodeOptions{moniker: "ours", key: ourKey, persistent: []string{toGno}})
	begun := time.Now()
	gno.Dial(toOurs)
	for _, r := range []*relay{relayToGno, relayToOurs} {
		r.await("both have dialed", func(links []link) bool { return len(links) > 0 })
	}

	// Our dial reaches gno before gno's dial reaches us. Gno has the first connection until it
	// has judged the second one: the relay tells its end only later.
	relayToGno.release(gno)
	gno.AwaitUp(t, ours.ID(), 1)
	require.True(t, ours.AwaitUp(t, gno.ID(), 1).Outbound)
	endFirst := relayToGno.hold()
	relayToOurs.release(ours)
	var second link
	require.Eventually(t, func() bool {
		links, _ := relayToOurs.snapshot()
		second = links[0]

		return second.closed || len(ours.Events(isUp(false))) > 0
	}, peerlog.Patience, 10*time.Millisecond)
	if len(ours.Events(isUp(false))) == 0 && second.lasted(begun) {
		endFirst()
		ours.Stop()
		gno.Stop()

		return false
	}
	require.False(t, ours.AwaitUp(t, gno.ID(), 2).Outbound, "the connection dialed by the lower ID")

	require.Contains(t, ours.AwaitDown(t, gno.ID(), 2).Reason, mconn.ErrProbeTimeout.Error())
	endFirst()
	gno.AwaitDown(t, ours.ID(), 1)
	relayToGno.release(gno)
	require.True(t, ours.AwaitUp(t, gno.ID(), 3).Outbound)
	gno.AwaitUp(t, ours.ID(), 2)
	exchange(t, ours, gno, fewSizes)
	require.Len(t, ours.sw.Peers().List(), 1)
	requireNeverTwo(t, crossing{gno: gno, ours: ours})

	return true
}
