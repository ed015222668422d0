package lp2p

import (
	"context"
	"crypto/ed25519"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// keepsPrivate is a switch with private peers.
type keepsPrivate struct {
	*behavior
	ids []types.ID
}

func (k keepsPrivate) IsPrivatePeer(id types.ID) bool {
	for _, private := range k.ids {
		if id == private {
			return true
		}
	}

	return false
}

// hidden returns a relay and a node that is reached through it. On loopback the two
// can meet with others, but libp2p does not punch holes there.
func hidden(t *testing.T) (relay, inside *node) {
	t.Helper()
	relay = newNode(t, nil, WithRelayService(DefaultRelayLimits()), patientGoodbye())
	inside = newNode(t, nil, WithRelayClient(relay.NetAddress()))
	require.Eventually(t, func() bool {
		_, ok := relay.relayedKey(inside.key.ID())

		return ok && inside.carriesCircuits(relay.Host().ID())
	}, patience, time.Millisecond)

	return relay, inside
}

// at is the TM2 address of one node where another listens.
func at(n, where *node) types.NetAddress {
	addr := where.NetAddress()
	addr.ID = n.key.ID()

	return addr
}

// A node that can dial through relays keeps what it is told of nodes behind a relay, also
// while it is connected to the relay. For any other node nobody else is there.
func TestRelayedAddressesAreKept(t *testing.T) {
	for name, opts := range map[string][]Option{"with relays": {WithRelayClient()}, "without": nil} {
		n, relay := newNode(t, nil, opts...), newNode(t, nil)
		relay.acceptLoop(t)
		p, err := n.Dial(timeout(t), relay.NetAddress(), n.behavior)
		require.NoError(t, err)
		told := relay.NetAddress()
		told.ID = types.GenerateNodeKey().ID()
		require.Equal(t, len(opts), n.book.Add(addrbook.Source{ID: types.GenerateNodeKey().ID()}, &told), name)
		require.NoError(t, p.CloseConn())
	}
}

func TestDialOnlyRelayed(t *testing.T) {
	relay, inside := hidden(t)
	dialer := newNode(t, nil, WithRelayClient())
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	dialed := make(chan error, 1)
	go func() {
		_, err := dialer.Dial(ctx, at(inside, relay), dialer.behavior)
		dialed <- err
	}()
	require.Eventually(t, func() bool { // they have met
		dialer.mtx.Lock()
		defer dialer.mtx.Unlock()
		for c := range dialer.conns {
			if isCircuit(c.RemoteMultiaddr()) {
				return true
			}
		}

		return false
	}, patience, time.Millisecond)
	cancel()
	err := <-dialed
	require.ErrorIs(t, err, ErrOnlyRelayed)
	require.ErrorIs(t, err, context.Canceled)
	id, known := p2paddr.Known(dialer.book, inside.key.ID())
	require.True(t, known, "the relay has told the key")
	require.Equal(t, inside.Host().ID(), id)
	noPending(t, inside)
	require.Empty(t, dialer.Host().Network().ConnsToPeer(id))
}

// A node without the option does not ask the node at an address for another one.
func TestDialIgnoresRelays(t *testing.T) {
	relay, inside := hidden(t)
	dialer := newNode(t, nil)
	_, err := dialer.Dial(timeout(t), at(inside, relay), dialer.behavior)
	var wrong *compat.WrongIDError
	require.ErrorAs(t, err, &wrong)
	_, known := p2paddr.Known(dialer.book, inside.key.ID())
	require.False(t, known)
}

// The end of a session does not end the reservation at the same node.
func TestSessionEndKeepsReservation(t *testing.T) {
	relay, inside := hidden(t)
	pi, _ := connect(t, inside, relay)
	conn := pi.s.conn
	require.NoError(t, pi.Stop())
	stopped(t, relay.failure(t).peer.(*Peer))
	inside.sessions.alive.Wait()
	relay.sessions.alive.Wait()
	require.False(t, conn.IsClosed())
	_, ok := relay.relayedKey(inside.key.ID())
	require.True(t, ok)
	connect(t, inside, relay)
}

// Private peers of a relay get no reservation, and it does not know them.
func TestRelayKeepsPrivate(t *testing.T) {
	relay, inside := hidden(t)
	dialer := newNode(t, nil, WithRelayClient())
	var served compat.PeerBehavior = keepsPrivate{relay.behavior, []types.ID{inside.key.ID()}}
	relay.served.Store(&served)
	acl := relayACL{&relay.opts.nat}
	require.False(t, acl.AllowReserve(inside.Host().ID(), nil))
	require.True(t, acl.AllowReserve(dialer.Host().ID(), nil))
	_, err := dialer.Dial(timeout(t), at(inside, relay), dialer.behavior)
	var wrong *compat.WrongIDError
	require.ErrorAs(t, err, &wrong)
	_, known := p2paddr.Known(dialer.book, inside.key.ID())
	require.False(t, known)
}

// A session through a relay is refused with a reason.
func TestNoSessionThroughRelay(t *testing.T) {
	relay, inside := hidden(t)
	dialer := newNode(t, nil, WithRelayClient())
	relays := dialer.relaysOf(timeout(t), inside.Host().ID(), at(inside, relay),
		&compat.WrongIDError{FoundPeer: relay.Host().ID().String()})
	require.Len(t, relays, 1)
	circuits, err := circuitsThrough(relays[0])
	require.NoError(t, err)
	dialer.setAddrs(inside.Host().ID(), circuits)
	ctx := network.WithAllowLimitedConn(timeout(t), "test")
	c, err := dialer.Host().Network().DialPeer(ctx, inside.Host().ID())
	require.NoError(t, err)
	require.True(t, c.Stat().Limited)
	_, err = stream.Open(timeout(t), c, SessionProtocol)
	require.ErrorIs(t, err, network.ErrLimitedConn)

	s, err := stream.Open(ctx, c, SessionProtocol)
	require.NoError(t, err)
	require.NoError(t, s.SetDeadline(time.Now().Add(patience)))
	info, err := dialer.info.MarshalBinary()
	require.NoError(t, err)
	_, err = s.Write(control.Append(nil, &control.Hello{Version: control.Version, Epoch: control.NewEpoch(), NodeInfo: info}))
	require.NoError(t, err)
	m, err := control.Read(s)
	require.NoError(t, err)
	require.Equal(t, compat.RejectUnavailable, m.(*control.Reject).Code)
	require.Contains(t, m.(*control.Reject).Text, "relay")
}

// ask sends bytes to the relay and returns its answer.
func ask(t *testing.T, relay *node, question []byte) ([]byte, error) {
	t.Helper()
	r := newRaw(t)
	s, err := stream.Open(timeout(t), r.connect(relay), RelayedProtocol)
	require.NoError(t, err)
	require.NoError(t, s.SetDeadline(time.Now().Add(patience)))
	_, err = s.Write(question)
	require.NoError(t, err)

	return io.ReadAll(s)
}

func TestRelayedProtocol(t *testing.T) {
	t.Parallel()
	relay := newNode(t, nil, WithRelayService(DefaultRelayLimits()), shortHandshake(shortWait))
	inside := newNode(t, nil, WithRelayClient(relay.NetAddress()))
	visitor := newNode(t, nil)
	connect(t, visitor, relay)
	require.Eventually(t, func() bool {
		_, ok := relay.relayedKey(inside.key.ID())

		return ok
	}, patience, time.Millisecond)
	answer, err := ask(t, relay, []byte(inside.key.ID()))
	require.NoError(t, err)
	require.Equal(t, []byte(inside.key.PrivKey.Public().(ed25519.PublicKey)), answer)

	for name, id := range map[string]types.ID{
		"a peer without a reservation": visitor.key.ID(),
		"the relay itself":             relay.key.ID(),
		"nobody":                       types.GenerateNodeKey().ID(),
	} {
		answer, err := ask(t, relay, []byte(id))
		require.NoError(t, err, name)
		require.Empty(t, answer, name)
	}
	for name, question := range map[string][]byte{
		"no ID":     make([]byte, idLength),
		"too short": []byte(inside.key.ID()[:idLength-1]), // until the deadline
	} {
		answer, err := ask(t, relay, question)
		require.Error(t, err, name)
		require.Empty(t, answer, name)
	}
}

// A relay's wrong answer is refused.
func TestRelayLies(t *testing.T) {
	asked := types.GenerateNodeKey().ID()
	other := types.GenerateNodeKey().PrivKey.Public().(ed25519.PublicKey)
	for name, answer := range map[string][]byte{"another key": other, "half a key": other[:10], "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			liar := newNode(t, nil)
			liar.Host().SetStreamHandler(RelayedProtocol, func(s network.Stream) {
				_, _ = io.CopyN(io.Discard, s, idLength)
				_, _ = s.Write(answer)
				_ = s.Close()
			})
			dialer := newNode(t, nil, WithRelayClient())
			addr := liar.NetAddress()
			addr.ID = asked
			_, err := dialer.Dial(timeout(t), addr, dialer.behavior)
			var wrong *compat.WrongIDError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, liar.key.ID(), wrong.Found)
			_, known := p2paddr.Known(dialer.book, asked)
			require.False(t, known)
		})
	}
}
