package dual_test

import (
	"crypto/ed25519"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A peer that is reached by QUIC alone is dialed although nothing listens at its TCP port.
func TestDialOfAPeerWithoutTCP(t *testing.T) {
	t.Parallel()
	spec := loopbackSpec()
	remote, accepted := listen(t, "dual", spec, dual.WithLibp2p(lp2p.WithQUIC()))
	addr := remote.NetAddress()
	network := remote.(*dual.Transport).Libp2p().Host().Network().(*swarm.Swarm)
	network.ListenClose(multiaddr.FilterAddrs(network.ListenAddresses(), func(a multiaddr.Multiaddr) bool {
		_, err := a.ValueForProtocol(multiaddr.P_TCP)

		return err == nil
	})...)

	for _, policy := range []dual.DialPolicy{dual.DialAuto, dual.DialNativeFirst, dual.DialLibp2pFirst} {
		dialer := newDialer(t, dual.WithDial(policy), dual.WithLibp2p(lp2p.WithQUIC()))
		_, err := dialer.Dial(timeout(t), addr, newBehavior())
		require.Equal(t, compat.DialUnreachable, compat.ClassifyDial(err), "the key of the peer is not known: %v", err)

		dialer.AddrBook().LearnKey(spec.Key.PrivKey.Public().(ed25519.PublicKey))
		p, err := dialer.Dial(timeout(t), addr, newBehavior())
		require.NoError(t, err, policy)
		require.NoError(t, p.Start())
		require.Equal(t, types.StackLibp2p, <-accepted)
	}
}

// A libp2p connection over which the peer runs no sessions keeps no dial from the native
// stack.
func TestDialOfAPeerWhoseLibp2pConnectionHasNoSessions(t *testing.T) {
	t.Parallel()
	spec := loopbackSpec()
	remote, accepted := listen(t, "native", spec)
	key, err := crypto.UnmarshalEd25519PrivateKey(spec.Key.PrivKey)
	require.NoError(t, err)
	other, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })

	dialer := newDialer(t, dual.WithQuiet(patient))
	dialer.AddrBook().LearnKey(spec.Key.PrivKey.Public().(ed25519.PublicKey))
	require.NoError(t, dialer.Libp2p().Host().Connect(timeout(t), peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}))
	require.True(t, dialer.Libp2p().IsConnectedTo(spec.Key.ID()))

	p, err := dialer.Dial(timeout(t), remote.NetAddress(), newBehavior())
	require.NoError(t, err)
	require.NoError(t, p.Start())
	require.Equal(t, types.StackNative, <-accepted)
}

// A libp2p connection that there is, as for discovery, is used unless native comes first.
func TestDialOfAConnectedPeer(t *testing.T) {
	t.Parallel()
	for policy, want := range map[dual.DialPolicy]types.Stack{
		dual.DialAuto: types.StackLibp2p, dual.DialLibp2pFirst: types.StackLibp2p, dual.DialNativeFirst: types.StackNative,
	} {
		spec := loopbackSpec()
		remote, accepted := listen(t, "dual", spec)
		other := remote.(*dual.Transport).Libp2p().Host()
		tap, addr := newTap(t, remote.NetAddress())
		dialer := newDialer(t, dual.WithDial(policy))
		dialer.AddrBook().LearnKey(spec.Key.PrivKey.Public().(ed25519.PublicKey))
		require.NoError(t, dialer.Libp2p().Host().Connect(timeout(t), peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}))
		p, err := dialer.Dial(timeout(t), addr, newBehavior())
		require.NoError(t, err, policy)
		require.NoError(t, p.Start())
		require.Equal(t, want, <-accepted, policy)
		conns, _ := tap.spoken()
		require.Equal(t, want == types.StackNative, conns == 1, policy)
	}
}

// What this node refuses to dial is not connected to, on either stack.
func TestRefusedAddressIsNotDialed(t *testing.T) {
	t.Parallel()
	remote, _ := listen(t, "native", loopbackSpec())
	tap, addr := newTap(t, remote.NetAddress())
	for _, policy := range []dual.DialPolicy{dual.DialAuto, dual.DialNative, dual.DialNativeFirst, dual.DialLibp2p} {
		dialer := newDialer(t, dual.WithDial(policy))
		self := addr
		self.ID = dialer.NetAddress().ID
		_, err := dialer.Dial(timeout(t), self, newBehavior())
		var reject *compat.RejectError
		require.ErrorAs(t, err, &reject, policy)
		require.Equal(t, compat.RejectSelf, reject.Code, policy)

		require.NoError(t, dialer.Libp2p().BlockIP(net.IPv4(127, 0, 0, 1)))
		_, err = dialer.Dial(timeout(t), addr, newBehavior())
		require.ErrorAs(t, err, &reject, policy)
		require.Equal(t, compat.RejectBanned, reject.Code, policy)
	}
	conns, _ := tap.spoken()
	require.Zero(t, conns)
}

// A peer at whose address another native node answers is dialed where it has announced to
// listen.
func TestDialOfAPeerThatHasMoved(t *testing.T) {
	t.Parallel()
	spec := loopbackSpec()
	remote, accepted := listen(t, "libp2p", spec)
	at := remote.NetAddress()
	other, _ := listen(t, "native", loopbackSpec())
	former := other.NetAddress()
	former.ID = at.ID

	dialer := newDialer(t, dual.WithDial(dual.DialNativeFirst))
	_, err := dialer.Dial(timeout(t), former, newBehavior())
	require.Equal(t, compat.DialWrongID, compat.ClassifyDial(err), "%v", err)
	dialer.AddrBook().LearnKey(spec.Key.PrivKey.Public().(ed25519.PublicKey))
	dialer.AddrBook().Add(addrbook.Source{ID: at.ID, IP: at.IP}, &at)
	p, err := dialer.Dial(timeout(t), former, newBehavior())
	require.NoError(t, err)
	require.NoError(t, p.Start())
	require.Equal(t, types.StackLibp2p, <-accepted)
}
