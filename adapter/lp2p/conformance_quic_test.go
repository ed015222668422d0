package lp2p_test

import (
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
)

// A node dials from the port at which it listens, so that a NAT before it has one
// mapping for both.
var sameSocket = compattest.Exemption{
	Promise: "Ends/SocketAddr", Why: "QUIC has one socket for listening and dialing, and so the same port",
}

func TestTransportQUICConformance(t *testing.T) {
	t.Parallel()
	compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
		t.Helper()

		return listenAs(t, a, lp2p.WithQUICOnly()), listenAs(t, b, lp2p.WithQUICOnly())
	}, sameSocket)
}

func TestSwitchQUICConformance(t *testing.T) {
	t.Parallel()
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch(lp2p.WithQUICOnly()) },
		compattest.Exemption{
			Promise: "Events/LossyWithBufferOf100", Why: "a transport has no part in it: TestSwitchConformance shows it of the same switch",
		})
}
