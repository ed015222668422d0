package compattest

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// admissionPromises cover compat.PeerAdmission and compat.ConnAdmission: a remote that the
// switch refuses does not become a peer. A stack may skip AdmitConn, and it may skip
// AdmitPeer for connections that it dialed.
func (s transportSuite) admissionPromises() []promiseCase {
	return []promiseCase{
		{"Admission/Acceptor", s.admissionAcceptor},
		{"Admission/Dialer", s.admissionDialer},
		{"Admission/Connection", s.admissionConnection},
	}
}

// refuser is an endpoint whose switch refuses every peer.
type refuser struct {
	*endpoint
	asked atomic.Int64
}

func refusal() *compat.RejectError { return compat.Reject(compat.RejectFull, "no room") }

// AdmitPeer implements compat.PeerAdmission.
func (r *refuser) AdmitPeer(compat.ConnInfo, types.NodeInfo) error {
	r.asked.Add(1)

	return refusal()
}

// connRefuser refuses every connection instead, as of banned hosts: a transport may go on
// with others.
type connRefuser struct {
	*endpoint
	asked atomic.Int64
}

// AdmitConn implements compat.ConnAdmission.
func (r *connRefuser) AdmitConn(net.IP) error {
	r.asked.Add(1)

	return compat.Reject(compat.RejectBanned, "banned")
}

// If the handshake can carry a refusal, Dial returns it. Otherwise Dial returns a peer,
// which then fails.
func (s transportSuite) admissionAcceptor(t *testing.T) {
	a, b := s.endpoints(t, nil)
	refusing := &refuser{endpoint: b}
	b.behavior = refusing
	stop := b.serve(t, b.run)
	peer, err := a.dial(t.Context(), b.tr.NetAddress())
	if err != nil {
		requireNoPeer(t, peer, err)
		requireRejected(t, err, true)
	} else if a.run(peer); peer.IsRunning() {
		a.awaitFailure(t, peer)
	}
	require.EqualValues(t, 1, refusing.asked.Load())
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
	refusing := &refuser{endpoint: a}
	a.behavior = refusing
	b.serve(t, b.run)
	peer, err := a.dial(t.Context(), b.tr.NetAddress())
	if err == nil {
		require.Zero(t, refusing.asked.Load(), "the peer was refused")
		t.Skip("the transport does not ask about whom it has dialed")
	}
	requireNoPeer(t, peer, err)
	require.EqualValues(t, 1, refusing.asked.Load())
	requireRejected(t, err, false)
}

// A dialer whose connection is refused may notice at once or later. The acceptor gets no
// peer.
func (s transportSuite) admissionConnection(t *testing.T) {
	a, b := s.endpoints(t, nil)
	refusing := &connRefuser{endpoint: b}
	b.behavior = refusing
	stop := b.serve(t, b.run)
	peer, err := a.dial(t.Context(), b.tr.NetAddress())
	if err == nil && refusing.asked.Load() == 0 {
		t.Skip("the transport does not ask about connections")
	}
	requireNoPeer(t, peer, err)
	stop()
	require.Empty(t, b.allPeers())
}
