package compattest

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// admissionPromises are about compat.PeerAdmission and compat.ConnAdmission: whom
// the switch refuses is no peer. About connections, and about those whom it has
// dialed itself, a stack need not ask.
func (s transportSuite) admissionPromises() []promiseCase {
	return []promiseCase{
		{"Admission/Acceptor", s.admissionAcceptor},
		{"Admission/Dialer", s.admissionDialer},
		{"Admission/Connection", s.admissionConnection},
	}
}

// doorkeeper is an endpoint whose switch refuses everybody when it is asked.
type doorkeeper struct {
	*endpoint
	asked atomic.Int64
}

func refusal() *compat.RejectError { return compat.Reject(compat.RejectFull, "no room") }

// AdmitPeer implements compat.PeerAdmission.
func (d *doorkeeper) AdmitPeer(compat.ConnInfo, types.NodeInfo) error {
	d.asked.Add(1)

	return refusal()
}

// connDoorkeeper refuses connections instead of peers.
type connDoorkeeper struct {
	*endpoint
	asked atomic.Int64
}

// AdmitConn implements compat.ConnAdmission.
func (d *connDoorkeeper) AdmitConn(net.IP) error {
	d.asked.Add(1)

	return refusal()
}

// A dialer whose handshake can carry a refusal learns why; else it has a peer,
// which fails.
func (s transportSuite) admissionAcceptor(t *testing.T) {
	a, b := s.endpoints(t, nil)
	keeper := &doorkeeper{endpoint: b}
	b.behavior = keeper
	stop := b.serve(t, b.run)
	peer, err := a.dial(t.Context(), b.tr.NetAddress())
	if err != nil {
		requireNoPeer(t, peer, err)
		requireRejected(t, err, true)
	} else if a.run(peer); peer.IsRunning() {
		a.awaitFailure(t, peer)
	}
	require.EqualValues(t, 1, keeper.asked.Load())
	stop()
	require.Empty(t, b.allPeers())
}

// requireRejected requires that err is the refusal, by the remote or by us.
func requireRejected(t *testing.T, err error, remote bool) {
	t.Helper()
	want := refusal()
	want.Remote = remote
	var reject *compat.RejectError
	require.ErrorAs(t, err, &reject)
	require.Equal(t, want, reject)
}

func (s transportSuite) admissionDialer(t *testing.T) {
	a, b := s.endpoints(t, nil)
	keeper := &doorkeeper{endpoint: a}
	a.behavior = keeper
	b.serve(t, b.run)
	peer, err := a.dial(t.Context(), b.tr.NetAddress())
	if err == nil {
		require.Zero(t, keeper.asked.Load(), "the peer was refused")
		t.Skip("the transport does not ask about whom it has dialed")
	}
	requireNoPeer(t, peer, err)
	require.EqualValues(t, 1, keeper.asked.Load())
	requireRejected(t, err, false)
}

// Whether a dialer can tell at once is the stack's matter; there is no peer.
func (s transportSuite) admissionConnection(t *testing.T) {
	a, b := s.endpoints(t, nil)
	keeper := &connDoorkeeper{endpoint: b}
	b.behavior = keeper
	stop := b.serve(t, b.run)
	peer, err := a.dial(t.Context(), b.tr.NetAddress())
	if err == nil && keeper.asked.Load() == 0 {
		t.Skip("the transport does not ask about connections")
	}
	requireNoPeer(t, peer, err)
	stop()
	require.Empty(t, b.allPeers())
}
