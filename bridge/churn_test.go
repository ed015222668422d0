package bridge

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// A pair that takes nothing holds up no other, though both share one connection.
func TestStuckPairHoldsUpNoOther(t *testing.T) {
	modern := newNode(t, InitiatorLibp2p)
	busy, free := newNode(t, InitiatorNative), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern)})
	busy.join(t, b.NativeAddress())
	blocked := modern.met(t).ID()
	free.join(t, b.NativeAddress())
	toFree := modern.met(t)

	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	t.Cleanup(open) // before the nodes stop
	hold := func(m message) {
		if m.from == blocked {
			<-release
		}
	}
	modern.receive.Store(&hold)
	var wg sync.WaitGroup
	defer wg.Wait()
	peer := busy.sw.Peers().List()[0]
	defer peer.FlushStop()
	wg.Go(func() {
		for peer.Send(chTxs, make([]byte, 16<<10)) {
		}
	})
	full := func() bool {
		for _, p := range b.slots.live() {
			if p.libp2p.peer.Status().Channels[1].SendQueueSize >= relayQueue {
				return true
			}
		}

		return false
	}
	require.Eventually(t, full, testTimeout, 10*time.Millisecond)

	exchange(t, free, modern)
	for range 20 {
		require.True(t, toFree.Send(chVotes, make([]byte, 1000)))
		next(t, free.messages)
	}
	open()
	next(t, modern.messages)
}

// Whatever happens to connections while pairs are made, run and end, nothing is left
// of them: no slot, no claim, no load.
func TestNothingIsLeftAfterChurn(t *testing.T) {
	moderns := []*node{newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)}
	native := newNode(t, InitiatorNative)
	for _, n := range append(moderns, native) {
		go n.drain(t.Context())
	}
	b := newBridge(t, Config{
		Libp2pPeers: append(addresses(moderns...), silent(t)), NativePeers: addresses(native), MaxPairs: 6,
	})
	var wg sync.WaitGroup
	for range 4 {
		key := *types.GenerateNodeKey()
		for i := range 2 { // two connections of each node replace each other
			wg.Go(func() { dialAndHangUp(t.Context(), b, key, i) })
		}
	}
	for range 4 {
		n := newNode(t, InitiatorLibp2p)
		go n.drain(t.Context())
		wg.Go(func() {
			for range 5 {
				n.dial(b.Libp2pAddress())
				for _, p := range n.sw.Peers().List() {
					n.sw.StopPeerForError(p, errBridgeStopped)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Stop())

	require.Empty(t, b.slots.held)
	require.Empty(t, b.libp2pTargets.inUse.list)
	require.Empty(t, b.nativeTargets.inUse.list)
}

// drain takes what the node tells until the context ends.
func (n *node) drain(ctx context.Context) {
	for {
		select {
		case <-n.added:
		case <-n.removed:
		case <-n.messages:
		case <-ctx.Done():
			return
		}
	}
}

// dialAndHangUp makes native connections and closes them at different moments.
func dialAndHangUp(ctx context.Context, b *Bridge, key types.NodeKey, n int) {
	addr := loopback()
	addr.ID = key.ID()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &addr, Network: "bridged", Version: "v1.0.0", Channels: []byte{chVotes, chTxs}, Moniker: "churn",
	}
	tr := native.NewMultiplexTransport(info, key, mconn.DefaultMConnConfig(), quiet())
	for i := range 8 {
		ctx, cancel := context.WithTimeout(ctx, time.Duration((i+n)%4*50)*time.Millisecond+time.Millisecond)
		if p, err := tr.Dial(ctx, b.NativeAddress(), b.newPair(InitiatorNative).native); err == nil {
			tr.Remove(p)
		}
		cancel()
	}
	_ = tr.Close() // it has no listener that could fail
}

// A bridge that cannot listen on one side leaves nothing of the other.
func TestStartFailsAsAWhole(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	at := taken.Addr().(*net.TCPAddr)
	b, err := New(*types.GenerateNodeKey(), Config{
		NativeListen: loopback(), Libp2pListen: types.NetAddress{IP: at.IP, Port: uint16(at.Port)},
	}, quiet())
	require.NoError(t, err)
	require.ErrorContains(t, b.Start(), "libp2p side")

	native := b.NativeAddress()
	again, err := net.Listen("tcp", native.DialString())
	require.NoError(t, err, "the native side is closed")
	require.NoError(t, again.Close())
}

func TestQUIC(t *testing.T) {
	modern, dialer, far := newNode(t, overQUIC), newNode(t, overQUIC), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(modern), NativePeers: addresses(far), Libp2pQUIC: true})
	native := newNode(t, InitiatorNative)
	var ofBridge compat.PeerConn
	for range 5 {
		native.join(t, b.NativeAddress())
		if ofBridge = modern.met(t); ofBridge.RemoteAddr().Network() == "udp" {
			break
		}
		// The bridge dials TCP too where QUIC takes long, as on a busy machine.
		t.Log("the bridge is connected over TCP")
		native.stop()
		next(t, modern.removed)
		native = newNode(t, InitiatorNative)
	}
	require.IsType(t, &net.UDPAddr{}, ofBridge.RemoteAddr())
	exchange(t, native, modern)

	require.IsType(t, &net.UDPAddr{}, dialer.join(t, b.Libp2pAddress()).RemoteAddr())
	far.met(t)
	exchange(t, dialer, far)
	b.slots.mtx.Lock()
	defer b.slots.mtx.Unlock()
	require.Len(t, b.slots.held, 2)
	for _, held := range b.slots.held {
		require.Equal(t, netgroup.Host(netgroup.FromIP(loopback().IP)), held.host, "both count for their IP")
	}
}
