package adapter

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// probedConn is a connection whose stack can probe.
type probedConn struct {
	compat.PeerConn
	mtx      sync.Mutex
	timeouts []time.Duration
}

func (p *probedConn) ProbeAlive(timeout time.Duration) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.timeouts = append(p.timeouts, timeout)
}

func (p *probedConn) probes() []time.Duration {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return append([]time.Duration(nil), p.timeouts...)
}

// probing makes every connection of a transport a probedConn. Its switch does
// not learn of connections that the remote ends.
func probing(tr *memory.Transport) compat.Transport {
	return &acceptHook{
		Transport: &dialHook{Transport: tr, dial: func(ctx context.Context, a types.NetAddress, b compat.PeerBehavior) (compat.PeerConn, error) {
			return probed(tr.Dial(ctx, a, b))
		}},
		accept: func(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
			return probed(tr.Accept(ctx, b))
		},
	}
}

func probed(conn compat.PeerConn, err error) (compat.PeerConn, error) {
	if err != nil {
		return nil, err
	}

	return &probedConn{PeerConn: conn}, nil
}

func (n *node) probedConn(t *testing.T, id types.ID) *probedConn {
	t.Helper()
	require.True(t, n.Peers().Has(id))

	return n.Peers().Get(id).(*probedConn)
}

// deaf is a node that makes connections and does not use them.
type deaf struct {
	*memory.Transport
	behavior compat.PeerBehavior
}

func newDeaf(t *testing.T, network *memory.Network, wanted func(types.ID) bool) deaf {
	t.Helper()
	info := network.NewNodeInfo(chA, chB)
	for !wanted(info.NetAddress.ID) {
		info.NetAddress.ID = types.GenerateNodeKey().ID()
	}
	tr, err := network.NewTransportFor(info)
	require.NoError(t, err)
	sw := NewMultiplexSwitch(tr, WithReactor("test", newTestReactor(chA, chB))) // never started

	return deaf{Transport: tr, behavior: sw.behavior}
}

func (d deaf) addr() *types.NetAddress { a := d.NetAddress(); return &a }

// dial asks the node to come in. A refusal is an error where the transport asks
// the switch, and none where it does not.
func (d deaf) dial(t *testing.T, to *node) {
	t.Helper()
	conn, err := d.Dial(t.Context(), *to.addr(), d.behavior)
	require.True(t, (conn == nil) == (err != nil))
	synctest.Wait()
}

// A peer that asks to come in while it is connected has lost its connection, or
// never knew of it.
func TestDuplicateCastsDoubtOnTheConnection(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		a := newNodeOn(t, network.NewTransport(chA, chB), probing, WithMaxInboundPeers(2))
		prepare(a)
		anybody := func(types.ID) bool { return true }
		b, c, d := newDeaf(t, network, anybody), newDeaf(t, network, anybody), newDeaf(t, network, anybody)
		defer start(t, a)()
		b.dial(t, a)
		c.dial(t, a)
		first, other := a.probedConn(t, b.addr().ID), a.probedConn(t, c.addr().ID)
		require.Empty(t, first.probes(), "one connection is not probed")
		d.dial(t, a)
		require.False(t, a.Peers().Has(d.addr().ID), "no slot is free")
		require.Empty(t, append(first.probes(), other.probes()...))

		b.dial(t, a)
		require.Same(t, first, a.Peers().Get(b.addr().ID))
		require.Len(t, first.probes(), 1)
		require.GreaterOrEqual(t, first.probes()[0], aliveTimeout)
		require.Less(t, first.probes()[0], aliveTimeout+aliveJitter)
		require.Empty(t, other.probes())
		for _, s := range []deaf{b, c, d} {
			require.NoError(t, s.Close())
		}
	})
}

// Of two crossed connections the one that stays is probed: an old TM2 node may
// have kept the other.
func TestCrossingCastsDoubtOnTheSurvivor(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		for _, remoteIsLower := range []bool{true, false} {
			network := memory.NewNetwork()
			a := newNodeOn(t, network.NewTransport(chA, chB), probing)
			prepare(a)
			remote := newDeaf(t, network, func(id types.ID) bool { return (id < a.id()) == remoteIsLower })
			stop := start(t, a)
			go func() {
				if _, err := remote.Accept(t.Context(), remote.behavior); err != nil {
					t.Errorf("accept: %v", err)
				}
			}()
			a.DialPeers(remote.addr())
			synctest.Wait()
			outbound := a.probedConn(t, remote.addr().ID)
			require.True(t, outbound.IsOutbound())
			require.Empty(t, outbound.probes())

			remote.dial(t, a)
			survivor := a.probedConn(t, remote.addr().ID)
			require.Equal(t, remoteIsLower, survivor != outbound, "the connection dialed by the lower ID stays")
			require.Len(t, survivor.probes(), 1)
			stop()
			require.NoError(t, remote.Close())
		}
	})
}

// dyingConn is a connection that fails a probe unless its remote is alive.
type dyingConn struct {
	compat.PeerConn
	behavior compat.PeerBehavior
	alive    bool
	probes   atomic.Int32
}

func (c *dyingConn) ProbeAlive(timeout time.Duration) {
	// Like mconn, it ignores a probe while another is under way.
	if c.probes.Add(1) == 1 && !c.alive {
		time.AfterFunc(timeout, func() { c.behavior.HandlePeerError(c, errTest) })
	}
}

// mortal makes every inbound connection a dyingConn; alive tells what its remote is.
func mortal(alive bool) func(*memory.Transport) compat.Transport {
	return func(tr *memory.Transport) compat.Transport {
		return &acceptHook{Transport: tr, accept: func(ctx context.Context, b compat.PeerBehavior) (compat.PeerConn, error) {
			conn, err := tr.Accept(ctx, b)
			if err != nil {
				return nil, err
			}

			return &dyingConn{PeerConn: conn, behavior: b, alive: alive}, nil
		}}
	}
}

// A node that lost power comes back under its ID while its former connection seems to
// live: it takes that one's place and slot as soon as a probe has failed. While the remote
// of the former connection answers, that one stays.
func TestGhostGivesWay(t *testing.T) {
	for name, alive := range map[string]bool{"dead": false, "alive": true} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, prepare func(...*node)) {
				network := memory.NewNetwork()
				a := newNodeOn(t, network.NewTransport(chA, chB), mortal(alive), WithMaxInboundPeers(1))
				prepare(a)
				b := newDeaf(t, network, func(types.ID) bool { return true })
				defer start(t, a)()
				defer func() { require.NoError(t, b.Close()) }()
				b.dial(t, a)
				former := a.Peers().Get(b.addr().ID).(*dyingConn)
				pass(ghostAge)

				begin := time.Now()
				b.dial(t, a)
				b.dial(t, a) // a second newcomer is refused at once
				require.Positive(t, former.probes.Load())
				require.Equal(t, begin, time.Now())
				pass(ghostWait)
				now := a.Peers().Get(b.addr().ID)
				require.NotNil(t, now)
				require.Equal(t, alive, now == compat.PeerConn(former))
				require.Len(t, a.Peers().List(), 1)
			})
		})
	}
}

// Peers that come back again and again while their connections live hold few admissions.
// A configured peer may wait all the same.
func TestGhostWaitsAreBounded(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		configured := newDeaf(t, network, func(types.ID) bool { return true })
		a := newNodeOn(t, network.NewTransport(chA, chB), mortal(true),
			WithUnconditionalPeers([]types.ID{configured.addr().ID}))
		prepare(a)
		defer start(t, a)()
		peers := []deaf{configured}
		for range maxAdmissions {
			peers = append(peers, newDeaf(t, network, func(types.ID) bool { return true }))
		}
		for _, p := range peers {
			defer func() { require.NoError(t, p.Close()) }()
			p.dial(t, a)
		}
		pass(ghostAge)
		for _, p := range peers[1:] {
			p.dial(t, a)
		}
		require.Len(t, awaited(a), maxGhostWaits)
		configured.dial(t, a)
		require.Len(t, awaited(a), maxGhostWaits+1)
		require.Contains(t, awaited(a), configured.addr().ID)
		pass(ghostWait)
		require.Empty(t, awaited(a))
		require.Len(t, a.Peers().List(), len(peers), "those that live stay")
	})
}

// awaited returns the IDs for which a newcomer waits.
func awaited(n *node) map[types.ID]bool {
	n.registry.mtx.Lock()
	defer n.registry.mtx.Unlock()

	return maps.Clone(n.registry.awaited)
}
