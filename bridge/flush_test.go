package bridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A bridge that stops sends what it has taken.
func TestStopFlushes(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(libp2p)})
	native.join(t, b.NativeAddress())
	next(t, libp2p.added)
	hold := make(chan struct{})
	first := make(chan struct{}, 1)
	see := func(message) {
		select {
		case first <- struct{}{}:
		default:
		}
		<-hold
	}
	libp2p.receive.Store(&see)
	const sent = 50
	for range sent {
		require.True(t, native.sw.Peers().List()[0].Send(chTxs, []byte("tx")))
	}
	next(t, first)
	taken := &b.journal.meterOf(InitiatorLibp2p).channels[chTxs].messages // not those that still wait to be taken
	require.Eventually(t, func() bool { return taken.Load() == sent }, testTimeout, time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop() }()
	next(t, native.removed)
	close(hold)
	for range sent {
		require.Equal(t, "tx", next(t, libp2p.messages).data)
	}
	require.NoError(t, next(t, stopped))
}
