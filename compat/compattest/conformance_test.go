package compattest_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
)

// noSockets exempts the promises that need sockets, which the in-memory network has not.
var noSockets = []compattest.Exemption{
	{Promise: "Dial/Silence/Cancel", Why: "there are no sockets"},
	{Promise: "Dial/Silence/Deadline", Why: "there are no sockets"},
	{Promise: "Close/EndsDial", Why: "there are no sockets"},
	{Promise: "Accept/Garbage", Why: "there are no sockets"},
	{Promise: "Accept/ClosedAtOnce", Why: "there are no sockets"},
	{Promise: "Accept/Silence", Why: "there are no sockets"},
}

func TestTransportConformance(t *testing.T) {
	var ports atomic.Uint32
	compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
		t.Helper()
		network := memory.NewNetwork()
		var transports [2]compat.Transport
		for i, spec := range []compattest.Spec{a, b} {
			info, addr := spec.Info, *spec.Info.NetAddress
			if addr.Port == 0 {
				addr.Port = uint16(20000 + ports.Add(1)%10000)
			}
			info.NetAddress = &addr
			tr, err := network.NewTransportFor(info)
			require.NoError(t, err)
			t.Cleanup(func() {
				require.NoError(t, tr.Close())
				require.Zero(t, tr.NumPeers())
			})
			transports[i] = tr
		}

		return transports[0], transports[1]
	}, noSockets...)
}
