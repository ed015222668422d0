package lp2p

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A peer that comes back at once meets a connection that both sides are about to
// close.
func TestReconnectAtOnce(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	b.acceptLoop(t)
	for i := range 50 {
		p, err := a.dial(t, b)
		require.NoError(t, err, "dial %d", i)
		require.NoError(t, p.Start())
		require.True(t, p.Send(chA, []byte("again")))
		if i%2 == 0 {
			p.FlushStop()
		} else {
			require.NoError(t, p.Stop())
		}
	}
	b.reactor.await(t, 25)
	require.Empty(t, a.failures)
}

// The remote closes a connection that the dial shares, and resets the new stream: with a
// code from its transport, or without one from libp2p. The dial begins anew.
func TestDialOverClosingConnection(t *testing.T) {
	for _, code := range []network.StreamErrorCode{network.StreamShutdown, network.StreamNoError} {
		n, r := newNode(t, nil), newRaw(t)
		addr := r.listen()
		var streams atomic.Int32
		r.host.SetStreamHandler(SessionProtocol, func(s network.Stream) {
			m, err := control.Read(s)
			h, ok := m.(*control.Hello)
			if err != nil || !ok || streams.Add(1) == 1 {
				_ = s.ResetWithError(code)

				return
			}
			_, _ = s.Write(control.Append(nil, &control.Accept{Epoch: h.Epoch, NodeInfo: r.hello(h.Epoch).NodeInfo}))
		})
		n.Host().Peerstore().AddAddrs(r.host.ID(), r.host.Addrs(), time.Minute)
		_, err := n.Host().Network().DialPeer(timeout(t), r.host.ID())
		require.NoError(t, err)
		p, err := n.Dial(timeout(t), addr, n.behavior)
		require.NoError(t, err)
		require.EqualValues(t, 2, streams.Load())
		require.NoError(t, p.Start())
	}
}

// Both sides dial, stop and dial again; nothing hangs, and a session that was
// established on both sides delivers or ends on both.
func TestConcurrentDials(t *testing.T) {
	timeouts := DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake = patience, patience
	a, b := newNode(t, nil, WithTimeouts(timeouts)), newNode(t, nil, WithTimeouts(timeouts))
	a.acceptLoop(t)
	b.acceptLoop(t)
	const each = 20
	errs := make(chan error, 2*each)
	for _, n := range [][2]*node{{a, b}, {b, a}} {
		for i := range each {
			go func() {
				p, err := n[0].Dial(timeout(t), n[1].NetAddress(), n[0].behavior)
				if err == nil {
					err = p.Start()
				}
				if err == nil && !p.Send(chA, fmt.Appendf(nil, "%d", i)) {
					err = fmt.Errorf("message %d was not taken", i)
				}
				if err == nil {
					p.FlushStop()
				}
				errs <- err
			}()
		}
	}
	for range 2 * each {
		require.NoError(t, <-errs)
	}
	require.Equal(t, each, a.reactor.count())
	require.Equal(t, each, b.reactor.count())
}

func TestIPv6(t *testing.T) {
	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithTimeouts(patientTimeouts()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	if err := tr.Listen(types.NetAddress{IP: net.IPv6loopback}); err != nil {
		t.Skip("no IPv6 here")
	}
	b := &node{Transport: tr, behavior: newBehavior(), key: key}
	a := newNode(t, nil)
	pa, pb := connect(t, a, b)
	require.True(t, pa.RemoteIP().Equal(net.IPv6loopback))
	require.True(t, pa.Send(chA, []byte("six")))
	b.reactor.await(t, 1)
	require.NoError(t, pb.Stop())
}

func TestMetricsAreOptional(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := newNode(t, nil, WithPrometheus(registry))
	b := newNode(t, nil)
	connect(t, a, b)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)
}

func TestFetchNodeInfo(t *testing.T) {
	a := newNode(t, nil)
	info, err := FetchNodeInfo(timeout(t), a.NetAddress())
	require.NoError(t, err)
	require.Equal(t, a.key.ID(), info.ID())
	require.Equal(t, a.NetAddress().Port, info.NetAddress.Port)
	require.Empty(t, a.conns)

	wrong := a.NetAddress()
	wrong.ID = types.GenerateNodeKey().ID()
	_, err = FetchNodeInfo(timeout(t), wrong)
	var wrongID *compat.WrongIDError
	require.ErrorAs(t, err, &wrongID)
}

// The connection that the remote has opened is shared; the address is still the
// one that was dialed.
func TestSharedConnectionKeepsTheDialedAddress(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	connect(t, a, b)
	p, _ := connect(t, b, a)
	addr := a.NetAddress()
	require.Equal(t, addr.String(), p.SocketAddr().String())
	require.True(t, p.IsOutbound())
	require.Len(t, b.Host().Network().Conns(), 1)
	require.NoError(t, p.StopForReason(compat.Reject(compat.RejectDuplicate, "")))
}
