package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// silent is a target that accepts TCP connections and never says anything.
func silent(t *testing.T) *types.NetAddress {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		wg.Wait()
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
	})
	addr, err := types.NewNetAddress(types.GenerateNodeKey().ID(), l.Addr())
	require.NoError(t, err)

	return addr
}

func TestSilentTargetIsPassedOver(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: []*types.NetAddress{silent(t), &modern.address}})
	for range 2 {
		legacy := newNode(t, InitiatorLegacy)
		legacy.dial(b.LegacyAddress())
		next(t, legacy.added)
		next(t, modern.added)
	}
}

// takesAll is a far side that takes everything.
type takesAll struct {
	compat.PeerConn
	got []string
}

func (p *takesAll) Send(_ byte, msg []byte) bool { p.got = append(p.got, string(msg)); return true }

// A message after the end must not pass when one before it did not.
func TestRelayEndsWithItsPair(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	p, far := b.newPair(InitiatorLegacy), &takesAll{}
	p.libp2p.peer = far
	p.legacy.listen(TM2Channels())
	close(p.ready)

	p.legacy.reactors[chVotes].Receive(chVotes, nil, []byte("before"))
	p.end(nil, errors.New("the other direction failed"))
	for range 50 {
		p.legacy.reactors[chVotes].Receive(chVotes, nil, []byte("after"))
	}
	require.Equal(t, []string{"before"}, far.got)
}

// What one node has sent when it stops arrives, whatever the other one sends.
func TestFlushStopCrossesTheBridgeAgainstTraffic(t *testing.T) {
	for range 5 {
		legacy, modern := newNode(t, InitiatorLegacy), newNode(t, InitiatorLibp2p)
		b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
		legacy.dial(b.LegacyAddress())
		towards, away := next(t, legacy.added), next(t, modern.added)

		var wg sync.WaitGroup
		wg.Go(func() {
			for towards.IsRunning() {
				towards.Send(chVotes, make([]byte, 200))
			}
		})
		wg.Go(func() {
			for {
				select {
				case <-modern.messages:
				case <-away.Quit():
					return
				}
			}
		})
		const count = 60
		for i := range count {
			require.True(t, away.Send(chTxs, fmt.Appendf(nil, "%d/%s", i, make([]byte, 20_000))))
		}
		away.FlushStop()
		for i := range count {
			require.Regexp(t, fmt.Sprintf("^%d/", i), next(t, legacy.messages).data)
		}
		next(t, legacy.removed)
		wg.Wait()
		require.NoError(t, b.Stop())
	}
}

// A node that opens another pair has lost its former one, whether the bridge knows
// it or not.
func TestNodeThatComesBackReplacesItsPair(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	key := types.GenerateNodeKey()
	dial := func() compat.PeerConn {
		addr := loopback()
		addr.ID = key.ID()
		info := types.NodeInfo{
			VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
			NetAddress: &addr, Network: "bridged", Version: "v1.0.0", Channels: []byte{chVotes, chTxs}, Moniker: "twice",
		}
		tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), quiet())
		t.Cleanup(func() { require.NoError(t, tr.Close()) })
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		p, err := tr.Dial(ctx, b.LegacyAddress(), b.newPair(InitiatorLegacy).legacy)
		require.NoError(t, err)

		return p
	}

	dial()
	former := next(t, modern.added).ID()
	dial()
	require.Equal(t, former, next(t, modern.removed))
	require.Equal(t, former, next(t, modern.added).ID(), "the same identity")
}

func TestWhoEndsAPairSoon(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	for _, initiator := range []string{InitiatorLegacy, InitiatorLibp2p} {
		byDialed, byDialer := b.newPair(initiator), b.newPair(initiator)
		dialed, dialer := byDialed.libp2p, byDialer.legacy
		if initiator == InitiatorLibp2p {
			dialed, dialer = byDialed.legacy, byDialer.libp2p
		}
		byDialed.end(dialed, errors.New("gone"))
		byDialer.end(dialer, errors.New("gone"))
		require.True(t, byDialed.diedYoung(), initiator)
		require.False(t, byDialer.diedYoung(), initiator)
	}
	old := b.newPair(InitiatorLegacy)
	old.since = old.since.Add(-minUptime)
	old.end(old.libp2p, errors.New("gone"))
	require.False(t, old.diedYoung())
}

func TestOnlyTheTargetsOwnFaultsCount(t *testing.T) {
	for _, c := range []struct {
		err         error
		unreachable bool
	}{
		{errors.New("connection refused"), true},
		{fmt.Errorf("dial: %w", &compat.RejectError{Code: compat.RejectFull, Remote: true}), true},
		{&compat.RejectError{Code: compat.RejectClosing, Remote: true}, true},
		{fmt.Errorf("dial: %w", &compat.RejectError{Code: compat.RejectIncompatible, Remote: true}), false},
		{&compat.RejectError{Code: compat.RejectInvalid, Remote: true}, false},
		{&native.HandshakeError{Step: "dial", Err: errors.New("no route")}, true},
		{&native.HandshakeError{Step: "node info", Err: errors.New("other network")}, false},
	} {
		require.Equal(t, c.unreachable, isUnreachable(c.err), "%v", c.err)
	}
}

func TestSlotsAreCountedPerIP(t *testing.T) {
	s := newSlots(3, 2, nil)
	a, other := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}
	first, err := s.take(a)
	require.NoError(t, err)
	_, err = s.take(a)
	require.NoError(t, err)
	_, err = s.take(a)
	require.ErrorIs(t, err, errFull)
	_, err = s.take(other)
	require.NoError(t, err)
	_, err = s.take(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)})
	require.ErrorIs(t, err, errFull, "three in total")
	first()
	_, err = s.take(&net.TCPAddr{IP: net.ParseIP("2001:db8::2")})
	require.NoError(t, err, "the second of one /64")
}

func TestUnconditionalPeersHaveTheirOwnSlots(t *testing.T) {
	friend, stranger := types.GenerateNodeKey().ID(), types.GenerateNodeKey().ID()
	s := newSlots(1, 1, []types.ID{friend, types.GenerateNodeKey().ID()})
	at := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}

	pair, err := s.takeFor(friend, at)
	require.NoError(t, err)
	others, err := s.takeFor(stranger, at)
	require.NoError(t, err, "an unconditional peer takes no slot from others")
	_, err = s.takeFor(stranger, at)
	require.ErrorIs(t, err, errFull)
	_, err = s.take(at)
	require.ErrorIs(t, err, errFull)

	replacement, err := s.takeFor(friend, at)
	require.NoError(t, err, "all slots are taken, but not its own")
	_, err = s.takeFor(friend, at)
	require.ErrorIs(t, err, errFull, "one pair and the one that replaces it")
	pair()
	pair, err = s.takeFor(friend, at)
	require.NoError(t, err)

	pair()
	replacement()
	others()
	_, err = s.take(at)
	require.NoError(t, err)
}

// A full bridge pairs an unconditional peer, which comes from the IP that has its
// share already.
func TestUnconditionalPeerOfAFullBridge(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	first, stranger, friend := newNode(t, InitiatorLegacy), newNode(t, InitiatorLegacy), newNode(t, InitiatorLegacy)
	b := newBridge(t, Config{
		Libp2pPeers: addresses(modern), MaxPairs: 1, UnconditionalPeers: []types.ID{friend.address.ID},
	})
	first.dial(b.LegacyAddress())
	next(t, first.added)

	failed, done := stranger.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	stranger.dial(b.LegacyAddress())
	next(t, failed)
	friend.dial(b.LegacyAddress())
	next(t, friend.added)
	exchange(t, friend, modern)
	require.Len(t, b.Status().Pairs, 2)
}

func TestBridgeIsNotItsOwnPeer(t *testing.T) {
	key := types.GenerateNodeKey()
	self := types.NetAddress{ID: key.ID(), IP: loopback().IP, Port: 1}
	for _, config := range []Config{
		{LegacyPeers: []*types.NetAddress{&self}},
		{Libp2pPeers: []*types.NetAddress{&self}},
	} {
		_, err := New(*key, config, quiet())
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorContains(t, err, string(key.ID()))
	}
}
