package lp2p

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
)

func newIdentity() (Identity, types.ID) {
	key := types.GenerateNodeKey()
	info := nodeInfo(key.ID())
	info.Moniker = "delegated"

	return Identity{Key: key.PrivKey, NodeInfo: info}, key.ID()
}

// dialAs makes a session under another identity.
func dialAs(t *testing.T, a, b *node, as Identity) (*Peer, *Peer) {
	t.Helper()
	accepted := make(chan *Peer, 1)
	go func() {
		p, err := b.Accept(timeout(t), b.behavior)
		if err != nil {
			close(accepted)

			return
		}
		accepted <- p.(*Peer)
	}()
	p, err := a.DialAs(timeout(t), b.NetAddress(), as, a.behavior)
	require.NoError(t, err)
	q := <-accepted
	require.NotNil(t, q)
	require.NoError(t, p.Start())
	require.NoError(t, q.Start())

	return p.(*Peer), q
}

func TestDelegatedIdentity(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	as, id := newIdentity()
	pa, pb := dialAs(t, a, b, as)
	require.Equal(t, b.key.ID(), pa.ID())
	require.Equal(t, id, pb.ID())
	require.Equal(t, id, pb.SocketAddr().ID)
	require.Equal(t, "delegated", pb.NodeInfo().Moniker)
	by, ok := pb.DelegatedBy()
	require.True(t, ok)
	require.Equal(t, a.key.ID(), by)
	require.False(t, pb.SeenAt().IsValid())
	require.True(t, pb.Send(chA, []byte("x")))
	a.reactor.await(t, 1)

	there, _ := newIdentity()
	there.Host = netip.MustParsePrefix("2a00:1:2:3::/64")
	_, seen := dialAs(t, a, b, there)
	require.Equal(t, there.Host, seen.SeenAt())
	require.Equal(t, there.Host, compat.SeenAt(seen))
}

// Several sessions share one connection, and the end of one does not affect the others.
func TestSessionsAreIndependent(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	own, _ := connect(t, a, b)
	one, _ := newIdentity()
	two, _ := newIdentity()
	pa1, pb1 := dialAs(t, a, b, one)
	pa2, _ := dialAs(t, a, b, two)
	require.Len(t, a.Host().Network().Conns(), 1)
	require.Len(t, b.Host().Network().Conns(), 1)

	for range 20 {
		for _, p := range []*Peer{own, pa1, pa2} {
			require.True(t, p.Send(chA, []byte(p.s.key.epoch.String())))
		}
	}
	b.reactor.await(t, 60)

	require.NoError(t, pb1.Stop())
	require.Same(t, pa1, a.failure(t).peer)
	for range 20 {
		require.True(t, own.Send(chB, []byte("x")))
		require.True(t, pa2.Send(chB, []byte("x")))
	}
	b.reactor.await(t, 100)
	require.NoError(t, own.Stop())
	require.Equal(t, own.s.key.epoch, b.failure(t).peer.(*Peer).s.key.epoch)
	require.True(t, pa2.Send(chC, []byte("x")))
	b.reactor.await(t, 101)
	require.Empty(t, a.failures)
	require.Empty(t, b.failures)
}

func TestDialAsChecksTheIdentity(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	as, _ := newIdentity()
	as.NodeInfo = a.info
	_, err := a.DialAs(timeout(t), b.NetAddress(), as, a.behavior)
	require.ErrorContains(t, err, "do not belong together")
	as.Key = as.Key[:10]
	_, err = a.DialAs(timeout(t), b.NetAddress(), as, a.behavior)
	require.ErrorContains(t, err, "do not belong together")

	// The node's own key is no delegation.
	info := a.info
	info.Moniker = "renamed"
	_, pb := dialAs(t, a, b, Identity{NodeInfo: info})
	require.Equal(t, "renamed", pb.NodeInfo().Moniker)
	_, delegated := pb.DelegatedBy()
	require.False(t, delegated)
}

func TestDelegationIsChecked(t *testing.T) {
	n, r, other := newNode(t, nil), newRaw(t), newRaw(t)
	as, id := newIdentity()
	body, err := as.NodeInfo.MarshalBinary()
	require.NoError(t, err)
	e := control.NewEpoch()
	soon := time.Now().Add(control.DelegationLife)
	good := control.SignDelegation(as.Key, netip.Prefix{}, e, r.host.ID(), n.Host().ID(), soon)
	flipped := *good
	flipped.Signature[0] ^= 1
	prolonged := *good
	prolonged.Expires++
	elsewhere := *control.SignDelegation(as.Key, netip.MustParsePrefix("9.8.7.6/32"), e, r.host.ID(), n.Host().ID(), soon)
	elsewhere.Host = netip.MustParsePrefix("9.8.7.5/32")

	for name, test := range map[string]struct {
		d    *control.Delegation
		text string
	}{
		"other dialer":   {control.SignDelegation(as.Key, netip.Prefix{}, e, other.host.ID(), n.Host().ID(), soon), "signature"},
		"other listener": {control.SignDelegation(as.Key, netip.Prefix{}, e, r.host.ID(), other.host.ID(), soon), "signature"},
		"swapped":        {control.SignDelegation(as.Key, netip.Prefix{}, e, n.Host().ID(), r.host.ID(), soon), "signature"},
		"other epoch":    {control.SignDelegation(as.Key, netip.Prefix{}, control.NewEpoch(), r.host.ID(), n.Host().ID(), soon), "signature"},
		"flipped bit":    {&flipped, "signature"},
		"prolonged":      {&prolonged, "signature"},
		"other host":     {&elsewhere, "signature"},
		"expired":        {control.SignDelegation(as.Key, netip.Prefix{}, e, r.host.ID(), n.Host().ID(), time.Now().Add(-2*time.Second)), "expired: the clock of its dialer is 5m"},
		"for too long":   {control.SignDelegation(as.Key, netip.Prefix{}, e, r.host.ID(), n.Host().ID(), time.Now().Add(time.Hour)), "too late: the clock of its dialer is 5"},
		"for ever":       {control.SignDelegation(as.Key, netip.Prefix{}, e, r.host.ID(), n.Host().ID(), time.Unix(math.MaxInt64, 0)), "too late"},
		"self":           {control.SignDelegation(r.key.PrivKey, netip.Prefix{}, e, r.host.ID(), n.Host().ID(), soon), "that of the connection"},
		"ours":           {control.SignDelegation(n.key.PrivKey, netip.Prefix{}, e, r.host.ID(), n.Host().ID(), soon), "that of this node"},
		"low order":      {forge(t, edkey.LowOrderPoints[1], control.DelegationBytes(netip.Prefix{}, e, r.host.ID(), n.Host().ID(), 0)), "low order"},
		"other node":     {control.SignDelegation(types.GenerateNodeKey().PrivKey, netip.Prefix{}, e, r.host.ID(), n.Host().ID(), soon), string(id)},
	} {
		t.Run(name, func(t *testing.T) {
			h := &control.Hello{Version: control.Version, Epoch: e, NodeInfo: body, Delegation: test.d}
			if test.d.Host.IsValid() {
				h.Version = control.HostVersion
			}
			c := r.connect(n) // one for each case, since one with many refusals is closed
			defer c.Close()
			m, err := r.say(r.open(c, false), h)
			require.NoError(t, err)
			require.IsType(t, &control.Reject{}, m)
			require.Equal(t, compat.RejectIdentity, m.(*control.Reject).Code)
			require.Contains(t, m.(*control.Reject).Text, test.text)
		})
	}

	// A replay of what is accepted is refused while the first one is active.
	c := r.connect(n)
	h := &control.Hello{Version: 1, Epoch: e, NodeInfo: body, Delegation: good}
	go func() {
		p, err := n.AcceptPending(timeout(t))
		if err == nil && p.Delegated() && p.DelegatedBy() == r.key.ID() && p.ID() == id {
			_, _ = p.Complete(timeout(t), n.info, n.behavior)
		}
	}()
	m, err := r.say(r.open(c, false), h)
	require.NoError(t, err)
	require.IsType(t, &control.Accept{}, m)
	m, err = r.say(r.open(c, false), h)
	require.NoError(t, err)
	require.Equal(t, compat.RejectInvalid, m.(*control.Reject).Code)
}

// forge makes a signature that verifies for a key of low order, without a private
// key: R = sB, which is valid whenever the hash is a multiple of the key's order.
func forge(t testing.TB, key [32]byte, msg []byte) *control.Delegation {
	t.Helper()
	l, ok := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	require.True(t, ok)
	l.Add(l, new(big.Int).Lsh(big.NewInt(1), 252))

	for seed := range 200 {
		seedBytes := bytes.Repeat([]byte{byte(seed)}, ed25519.SeedSize)
		h := sha512.Sum512(seedBytes)
		h[0] &= 248
		h[31] = h[31]&63 | 64
		scalar := slices.Clone(h[:32])
		slices.Reverse(scalar)
		s := new(big.Int).Mod(new(big.Int).SetBytes(scalar), l).FillBytes(make([]byte, 32))
		slices.Reverse(s)

		d := &control.Delegation{Key: key}
		copy(d.Signature[:32], ed25519.NewKeyFromSeed(seedBytes)[ed25519.SeedSize:])
		copy(d.Signature[32:], s)
		if ed25519.Verify(d.Key[:], msg, d.Signature[:]) {
			return d
		}
	}
	require.Failf(t, "key is not of low order", "%x", key)

	return nil
}

func TestLowOrder(t *testing.T) {
	a, b := newRaw(t), newRaw(t)
	e := control.NewEpoch()
	for _, p := range edkey.LowOrderPoints {
		for _, sign := range []byte{0, 0x80} {
			key := p
			key[31] |= sign
			require.True(t, edkey.LowOrder(key[:]))
			// x = 0 has no negative, but decoders take the encodings with the sign bit:
			// all of them have forgeries.
			d := forge(t, key, control.DelegationBytes(netip.Prefix{}, e, a.host.ID(), b.host.ID(), 0))
			_, err := d.Verify(e, a.host.ID(), b.host.ID(), time.Unix(0, 0))
			require.ErrorIs(t, err, control.ErrDelegationLowOrder)
		}
	}
	require.False(t, edkey.LowOrder(ed25519.PublicKey(types.GenerateNodeKey().PrivKey[32:])))
	require.False(t, edkey.LowOrder(nil))
}
