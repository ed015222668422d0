package bridge

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
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

// A search that waits for the silent target finds nobody, however often the node dials: a dial that
// ends with its node is not held against the target, which has no pair and so comes first again.
func TestSilentTargetIsPassedOver(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	b := newBridgeWith(t, Config{
		Libp2pPeers: []*types.NetAddress{silent(t), &modern.address}, AllowDuplicateIP: true,
	}, func(b *Bridge) { b.patience = patience / 10 })
	for range 2 {
		native := newNode(t, InitiatorNative)
		native.join(t, b.NativeAddress())
		modern.met(t)
	}
}

// What one node has sent when it stops arrives, whatever the other one sends.
func TestFlushStopCrossesTheBridgeAgainstTraffic(t *testing.T) {
	for range 5 {
		native, modern := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
		b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
		towards := native.join(t, b.NativeAddress())
		away := modern.met(t)

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
			require.True(t, away.Send(chTxs, fmt.Appendf(nil, "%d/%s", i, make([]byte, 8_000))))
		}
		away.FlushStop()
		for i := range count {
			require.Regexp(t, fmt.Sprintf("^%d/", i), next(t, native.messages).data)
		}
		next(t, native.removed)
		wg.Wait()
		require.NoError(t, b.Stop())
	}
}

func TestWhatAPairTellsOfItsTarget(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	gone := errors.New("gone")
	far := func(p *pair) *side { return p.dialed }
	near := func(p *pair) *side { return p.dialed.other() }
	for _, initiator := range []string{InitiatorNative, InitiatorLibp2p} {
		for _, c := range []struct {
			lasts    time.Duration
			byDialed bool
			own      bool // the target is configured
			stuck    func(*pair) *side
			want     outcome
		}{
			{byDialed: true, want: faulty},
			{byDialed: false, want: nodeLeftEarly},
			{lasts: minUptime, byDialed: true, want: dropped},
			{lasts: minUptime, byDialed: true, own: true, want: kept},
			{lasts: conduct.UsefulUptime, byDialed: true, want: kept},
			{lasts: minUptime, byDialed: false, want: nodeLeft},
			{lasts: minUptime, byDialed: true, stuck: far, want: faulty},
			{lasts: minUptime, byDialed: false, stuck: far, want: faulty},
			{lasts: minUptime, byDialed: false, stuck: near, want: nodeLeft},
		} {
			p := b.newPair(initiator)
			p.since, p.target = p.since.Add(-c.lasts), &target{configured: c.own}
			by := p.dialed
			if !c.byDialed {
				by = near(p)
			}
			if c.stuck != nil {
				c.stuck(p).stuck.Add(1)
			}
			p.end(by, gone)
			require.Equal(t, c.want, p.outcome(), "%s: %+v", initiator, c)
		}
	}
}

func TestOnlyTheTargetsOwnFaultsCount(t *testing.T) {
	remote := func(code compat.RejectCode) error {
		return fmt.Errorf("dial: %w", &compat.RejectError{Code: code, Remote: true})
	}
	for _, c := range []struct {
		err  error
		want outcome
	}{
		{errors.New("connection refused"), unreachable},
		{&native.HandshakeError{Step: "dial", Err: errors.New("no route")}, unreachable},
		{syscall.EMFILE, unknown},
		{fmt.Errorf("dial: %w", compat.ErrBusy), faulty},
		{remote(compat.RejectFull), faulty},
		{remote(compat.RejectClosing), faulty},
		{remote(compat.RejectIncompatible), declined},
		{remote(compat.RejectInvalid), declined},
		{&native.HandshakeError{Step: "node info", Err: errors.New("other network")}, declined},
	} {
		require.Equal(t, c.want, judge(t.Context(), c.err), "%v", c.err)
	}
}

// A full bridge pairs an unconditional peer, which comes from the IP that has its
// share already.
func TestUnconditionalPeerOfAFullBridge(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	first, stranger, friend := newNode(t, InitiatorNative), newNode(t, InitiatorNative), newNode(t, InitiatorNative)
	b := newBridge(t, Config{
		Libp2pPeers: addresses(modern), MaxPairs: 1, UnconditionalPeers: []types.ID{friend.address.ID},
	})
	first.join(t, b.NativeAddress())

	failed, done := stranger.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	stranger.dial(b.NativeAddress())
	next(t, failed)
	friend.join(t, b.NativeAddress())
	exchange(t, friend, modern)
	require.Len(t, b.Status().Pairs, 2)
}

func TestBridgeIsNotItsOwnPeer(t *testing.T) {
	key := types.GenerateNodeKey()
	self := types.NetAddress{ID: key.ID(), IP: loopback().IP, Port: 1}
	for _, config := range []Config{
		{NativePeers: []*types.NetAddress{&self}},
		{Libp2pPeers: []*types.NetAddress{&self}},
	} {
		_, err := New(*key, config, quiet())
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorContains(t, err, string(key.ID()))
	}
}
