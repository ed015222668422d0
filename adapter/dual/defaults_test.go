package dual_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// defaultNode is a node with a switch at its own public IP, and with no option set.
type defaultNode struct {
	sw *adapter.MultiplexSwitch
	at types.NetAddress
}

func startDefault(t *testing.T, kind, ip string) *defaultNode {
	t.Helper()
	tr := withSockets(t, kind, stacktest.SocketsFrom{IP: net.ParseIP(ip)})
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4zero}))
	sw := adapter.NewMultiplexSwitch(tr, adapter.WithReactor("test", newBehavior()))
	require.NoError(t, sw.Start())
	t.Cleanup(func() {
		require.NoError(t, sw.Stop())
		require.NoError(t, tr.Close())
	})
	at := tr.NetAddress()
	at.IP = net.ParseIP(ip)

	return &defaultNode{sw, at}
}

// join makes the node dial the other one, and requires that they become peers on the stack. Only a
// dial that has taken lp2p.SniffTimeout is repeated: the dialer may have come too late, and a dual node
// takes it for a native one; or the other end has waited too long for the handshake, and hangs up on a
// dialer that has ended it.
func (n *defaultNode) join(t *testing.T, other *defaultNode, stack types.Stack) {
	t.Helper()
	for range 5 {
		begun := time.Now()
		result := n.dial(t, other)
		took := time.Since(begun)
		up, connected := result.(events.PeerConnectedEvent)
		if connected && up.Stack == stack {
			if other.hasStack(t, n, stack) {
				return
			}
			require.GreaterOrEqual(t, time.Since(begun), lp2p.SniffTimeout, "%s has hung up on a peer at once", other.at.ID)
		} else {
			require.GreaterOrEqual(t, took, lp2p.SniffTimeout, "%s is no peer on %s: %+v", other.at.ID, stack, result)
		}
		t.Logf("a late dial: %+v", result)
		if p := n.sw.Peers().Get(other.at.ID); p != nil {
			n.sw.StopPeerForError(p, errors.New("on the other stack"))
		}
		require.Eventually(t, func() bool { return !n.sw.Peers().Has(other.at.ID) && !other.sw.Peers().Has(n.at.ID) },
			time.Minute, time.Millisecond, "%s keeps a peer that is gone", other.at.ID)
	}
	require.Fail(t, "every dial is late")
}

// refusal makes the node dial the other one, which refuses it, and returns the reason. Like join, it
// repeats a dial that is late and has not been answered.
func (n *defaultNode) refusal(t *testing.T, other *defaultNode) error {
	t.Helper()
	for range 5 {
		begun := time.Now()
		result := n.dial(t, other)
		failed, ok := result.(events.DialFailedEvent)
		require.True(t, ok, "%T", result)
		if compat.ClassifyDial(failed.Reason).Answered() {
			return failed.Reason
		}
		require.GreaterOrEqual(t, time.Since(begun), lp2p.SniffTimeout, "%v", failed.Reason)
		t.Logf("a late dial: %+v", failed.Reason)
	}
	require.FailNow(t, "every dial is late")
	panic("unreachable")
}

// dial dials the other node and returns the event that tells how that has ended.
func (n *defaultNode) dial(t *testing.T, other *defaultNode) events.Event {
	t.Helper()
	ended, cancel := n.sw.Subscribe(func(e events.Event) bool {
		up, connected := e.(events.PeerConnectedEvent)
		failed, ok := e.(events.DialFailedEvent)
		refused, rejected := e.(events.PeerRejectedEvent)

		return connected && up.PeerID == other.at.ID || ok && failed.Address.ID == other.at.ID ||
			rejected && refused.PeerID == other.at.ID
	})
	defer cancel()
	n.sw.DialPeers(&other.at)
	select {
	case e := <-ended:
		return e
	case <-timeout(t).Done():
		require.FailNow(t, "a dial has no end")
		panic("unreachable")
	}
}

// hasStack waits until the node has the other one, which has it, as a peer on the stack. It reports
// false if the other one has lost it instead.
func (n *defaultNode) hasStack(t *testing.T, of *defaultNode, stack types.Stack) (has bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		p := n.sw.Peers().Get(of.at.ID)
		has = p != nil && p.(compat.StackReporter).Stack() == stack

		return has || !of.sw.Peers().Has(n.at.ID)
	}, time.Minute, time.Millisecond, "%s is no peer on %s", of.at.ID, stack)

	return has
}

// A native, a libp2p and two dual nodes at public IPs form one network with no option set, and
// an IP has one slot, whichever stack it comes by.
func TestNetworkAtDefaults(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	hub, other := startDefault(t, "dual", "8.8.8.8"), startDefault(t, "dual", "9.9.9.9")
	nat, lib := startDefault(t, "native", "51.0.0.1"), startDefault(t, "libp2p", "52.0.0.1")
	hub.join(t, other, types.StackLibp2p)
	hub.join(t, nat, types.StackNative)
	lib.join(t, hub, types.StackLibp2p)
	nat.join(t, other, types.StackNative)

	again := startDefault(t, "libp2p", "51.0.0.1")
	refused := again.refusal(t, other)
	require.Equal(t, compat.DialBusy, compat.ClassifyDial(refused), "%v", refused)
	require.ErrorContains(t, refused, "allow_duplicate_ip")
	require.False(t, other.sw.Peers().Has(again.at.ID))
}
