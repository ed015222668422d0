package native

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

var dialects = []compat.Dialect{compat.DialectA, compat.DialectB, compat.DialectC}

func formOf(dialect compat.Dialect) wire.AuthForm {
	if dialect == compat.DialectC {
		return wire.AuthPlain
	}

	return wire.AuthTyped
}

// ownInfo is the NodeInfo of the raw peer, ready to send in the dialect.
func (p *rawPeer) ownInfo(dialect compat.Dialect) []byte {
	p.t.Helper()
	body, err := encodeNodeInfo(nodeInfo(p.id(), "net"), dialect)
	require.NoError(p.t, err)

	return wire.AppendSized(nil, body)
}

// expectInfo reads the NodeInfo of the remote and checks that it is one of the
// dialect.
func (p *rawPeer) expectInfo(id types.ID, dialect compat.Dialect) wire.NodeInfo {
	p.t.Helper()
	info := p.receiveNodeInfo()
	if dialect == compat.DialectA {
		require.Equal(p.t, id.String(), info.NetAddress)
	} else {
		require.Contains(p.t, info.NetAddress, id.String()+"@")
	}

	return info
}

// against runs a test of a transport, in either role, against a raw peer on a
// link. dialed is nil where the transport accepts.
func against(t *testing.T, test func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer)) {
	t.Helper()
	for _, role := range []string{"dialer", "listener"} {
		t.Run(role, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := newLink(addrA, addrB)
				p := newRawPeer(t, far, types.GenerateNodeKey().PrivKey)
				var dialed *types.NetAddress
				if role == "dialer" {
					dialed = &types.NetAddress{ID: p.id(), IP: addrB.IP, Port: uint16(addrB.Port)}
				}
				test(t, newDefaultTransport(t, "net"), near, dialed, p)
			})
		})
	}
}

// TestSpeaksEveryDialect lets nodes of each dialect, which send without waiting,
// meet a transport in either role, and exchange messages with it.
func TestSpeaksEveryDialect(t *testing.T) {
	for _, dialect := range dialects {
		t.Run(string(dialect), func(t *testing.T) {
			against(t, func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer) {
				begun := time.Now()
				served := make(chan struct{})
				go func() {
					defer close(served)
					p.authenticate(formOf(dialect))
					p.chunks(p.ownInfo(dialect))
					p.expectInfo(mt.nodeKey.ID(), dialect)
					p.chunks(wire.AppendMsg(nil, chA, true, []byte("from an old node")))
				}()
				b := newBehavior()
				peer, err := establish(t, mt, conn, dialed, b)
				require.NoError(t, err)
				require.Zero(t, time.Since(begun), "nobody waited")
				require.Equal(t, dialect, peer.(compat.DialectReporter).Dialect())
				require.Equal(t, p.id(), peer.ID())
				requireAddress(t, peer, dialect, dialed)

				require.NoError(t, peer.Start())
				require.Equal(t, received{chA, "from an old node"}, next(t, b.messages))
				<-served
				require.True(t, peer.Send(chB, []byte("answer")))
				body, err := wire.ReadSized(p, wire.MaxPacketSize(1024))
				require.NoError(t, err)
				packet, err := wire.DecodePacket(body)
				require.NoError(t, err)
				require.Equal(t, "answer", string(packet.Payload))
				require.NoError(t, peer.Stop())
			})
		})
	}
}

// requireAddress checks what a peer's NodeInfo says of where it can be dialed. In
// dialect A only the dialer knows.
func requireAddress(t *testing.T, peer compat.PeerConn, dialect compat.Dialect, dialed *types.NetAddress) {
	t.Helper()
	addr := peer.NodeInfo().NetAddress
	require.Equal(t, peer.ID(), addr.ID)
	switch {
	case dialect != compat.DialectA:
		require.True(t, addr.IP.IsLoopback())
	case dialed != nil:
		require.Equal(t, dialed.String(), addr.String())
	default:
		require.True(t, addr.IP.IsUnspecified())
		require.Zero(t, addr.Port)
	}
}

// TestNodeInfoIsHeldBackFromTypedPeers: only its remote's shows the dialect.
func TestNodeInfoIsHeldBackFromTypedPeers(t *testing.T) {
	for _, c := range []struct {
		name    string
		trip    time.Duration // how late the auth message comes
		late    time.Duration // how late the NodeInfo comes
		dialect compat.Dialect
		spoken  time.Duration // when ours comes
		want    error
	}{
		{"A in time", 0, 250 * time.Millisecond, compat.DialectA, 250 * time.Millisecond, nil},
		{"A on a slow path", 250 * time.Millisecond, 500 * time.Millisecond, compat.DialectA, 500 * time.Millisecond, nil},
		{"A far away", 800 * time.Millisecond, 800 * time.Millisecond, compat.DialectA, 800 * time.Millisecond, nil},
		{"B far away", 800 * time.Millisecond, 800 * time.Millisecond, compat.DialectB, 800 * time.Millisecond, nil},
		{"A slow to answer", 0, 900 * time.Millisecond, compat.DialectA, 900 * time.Millisecond, nil},
		{"B waits for us", 0, 2 * secretconn.DialectPause, compat.DialectB, secretconn.DialectPause, nil},
		{"A waits for us", 0, 2 * secretconn.DialectPause, compat.DialectA, secretconn.DialectPause, secretconn.ErrDialect},
	} {
		t.Run(c.name, func(t *testing.T) {
			against(t, func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer) {
				served := make(chan struct{})
				go func() {
					defer close(served)
					p.exchange()
					<-time.After(c.trip)
					p.chunks(p.auth(wire.AuthTyped))
					p.receiveAuth()
					authenticated := time.Now()
					time.AfterFunc(c.late, func() { p.chunks(p.ownInfo(c.dialect)) })
					info := p.receiveNodeInfo()
					require.Equal(t, c.spoken, time.Since(authenticated))
					require.Equal(t, c.want == nil && c.dialect == compat.DialectA, info.NetAddress == mt.nodeKey.ID().String())
				}()
				peer, err := establish(t, mt, conn, dialed, newBehavior())
				require.ErrorIs(t, err, c.want)
				<-served
				if c.want == nil {
					require.Equal(t, c.dialect, peer.(compat.DialectReporter).Dialect())
					require.NoError(t, peer.CloseConn())
				}
			})
		})
	}
}

// TestBegunFrameCountsAsHeard sends the first bytes of a NodeInfo before the pause ends
// and the rest after it. The transport waits for the rest and answers in kind.
func TestBegunFrameCountsAsHeard(t *testing.T) {
	for _, cut := range []int{1, frameSize - 1} {
		against(t, func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer) {
			served := make(chan struct{})
			go func() {
				defer close(served)
				p.authenticate(wire.AuthTyped)
				info := p.ownInfo(compat.DialectA)
				frame := p.frame(uint32(len(info)), info, 0)
				p.send(frame[:cut])
				<-time.After(HandshakeTimeout * 3 / 4)
				require.Zero(t, p.conn.in.pending(), "the transport holds back")
				p.send(frame[cut:])
				p.expectInfo(mt.nodeKey.ID(), compat.DialectA)
			}()
			peer, err := establish(t, mt, conn, dialed, newBehavior())
			require.NoError(t, err)
			<-served
			require.NoError(t, peer.CloseConn())
		})
	}
}

// TestPlainPeersGetNodeInfoAtOnce does not send the remote's before ours has come.
func TestPlainPeersGetNodeInfoAtOnce(t *testing.T) {
	against(t, func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer) {
		begun := time.Now()
		go func() {
			p.authenticate(wire.AuthPlain)
			p.expectInfo(mt.nodeKey.ID(), compat.DialectC)
			p.chunks(p.ownInfo(compat.DialectC))
		}()
		peer, err := establish(t, mt, conn, dialed, newBehavior())
		require.NoError(t, err)
		require.Zero(t, time.Since(begun))
		require.NoError(t, peer.CloseConn())
	})
}

// TestMixedDialectsAreRefused: no node has a plain key and a bare ID.
func TestMixedDialectsAreRefused(t *testing.T) {
	against(t, func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer) {
		go func() {
			p.authenticate(wire.AuthPlain)
			p.chunks(p.ownInfo(compat.DialectA))
		}()
		_, err := establish(t, mt, conn, dialed, newBehavior())
		require.ErrorIs(t, err, types.ErrBareNodeID)
	})
}

// TestTypedPeersAreCheckedAlike: the older form is checked like the others.
func TestTypedPeersAreCheckedAlike(t *testing.T) {
	other := types.GenerateNodeKey().ID()
	for name, c := range map[string]struct {
		change func(info *types.NodeInfo)
		want   error
	}{
		"another ID":      {func(i *types.NodeInfo) { i.NetAddress = &types.NetAddress{ID: other, IP: addrB.IP} }, errOtherNodeInfo},
		"another network": {func(i *types.NodeInfo) { i.Network = "other" }, types.ErrIncompatibleNetworks},
		"no moniker":      {func(i *types.NodeInfo) { i.Moniker = "" }, types.ErrInvalidMoniker},
		"a channel twice": {func(i *types.NodeInfo) { i.Channels = []byte{chA, chA} }, types.ErrDuplicateChannels},
	} {
		for _, dialect := range dialects[:2] {
			t.Run(name+" in "+string(dialect), func(t *testing.T) {
				against(t, func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer) {
					go func() {
						p.authenticate(wire.AuthTyped)
						info := nodeInfo(p.id(), "net")
						c.change(&info)
						body, err := encodeNodeInfo(info, dialect)
						if err != nil {
							t.Errorf("encode: %v", err)
						}
						p.chunks(wire.AppendSized(nil, body))
					}()
					_, err := establish(t, mt, conn, dialed, newBehavior())
					require.ErrorIs(t, err, c.want)
					require.True(t, conn.(*linkConn).closed())
				})
			})
		}
	}
}

// TestAdaptiveTransportsLoseNoTime: both sides mark their keys.
func TestAdaptiveTransportsLoseNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atDialer, atListener := newLink(addrA, addrB)
		dialer, listener := newDefaultTransport(t, "net"), newDefaultTransport(t, "net")
		begun := time.Now()
		listener.admit(atListener)
		dialed := &types.NetAddress{ID: listener.nodeKey.ID(), IP: addrB.IP, Port: uint16(addrB.Port)}
		out, err := establish(t, dialer, atDialer, dialed, newBehavior())
		require.NoError(t, err)
		in, err := listener.Accept(t.Context(), newBehavior())
		require.NoError(t, err)
		require.Zero(t, time.Since(begun))
		for _, p := range []compat.PeerConn{out, in} {
			require.Equal(t, compat.DialectC, p.(compat.DialectReporter).Dialect())
			require.NoError(t, p.CloseConn())
		}
	})
}

// TestRelayAnswersInKind shows a node of each dialect a NodeInfo that was chosen
// after its own came.
func TestRelayAnswersInKind(t *testing.T) {
	for _, dialect := range dialects {
		t.Run(string(dialect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := types.GenerateNodeKey()
				relay := NewRelayTransport(*key, mconn.DefaultMConnConfig(), nil)
				defer func() { require.NoError(t, relay.Close()) }()
				near, far := newLink(addrA, addrB)
				relay.mt.admit(near)

				p := newRawPeer(t, far, types.GenerateNodeKey().PrivKey)
				p.authenticate(formOf(dialect))
				p.chunks(p.ownInfo(dialect))
				pending, err := relay.AcceptPending(t.Context())
				require.NoError(t, err)
				require.Equal(t, dialect, pending.Dialect())
				require.Equal(t, p.id(), pending.NodeInfo().ID())

				<-time.After(time.Second)
				require.Zero(t, far.in.pending(), "nothing is shown yet")
				shown := nodeInfo(key.ID(), "net")
				shown.Moniker = "far"
				peer, err := pending.Complete(shown, newBehavior())
				require.NoError(t, err)
				require.Equal(t, "far", p.expectInfo(key.ID(), dialect).Moniker)
				require.NoError(t, peer.CloseConn())
			})
		})
	}
}

// TestRelaySpeaksFirstAfterAPause: a remote that waits for the relay's NodeInfo is shown
// the last one after the pause, and no other afterwards.
func TestRelaySpeaksFirstAfterAPause(t *testing.T) {
	for _, dialect := range []compat.Dialect{compat.DialectB, compat.DialectC} {
		synctest.Test(t, func(t *testing.T) {
			key := types.GenerateNodeKey()
			relay := NewRelayTransport(*key, mconn.DefaultMConnConfig(), nil)
			defer func() { require.NoError(t, relay.Close()) }()
			admit := func() *rawPeer {
				near, far := newLink(addrA, addrB)
				relay.mt.admit(near)
				p := newRawPeer(t, far, types.GenerateNodeKey().PrivKey)
				p.authenticate(formOf(dialect))

				return p
			}
			shown := nodeInfo(key.ID(), "net")
			eager := admit()
			eager.chunks(eager.ownInfo(dialect))
			pending, err := relay.AcceptPending(t.Context())
			require.NoError(t, err)
			peer, err := pending.Complete(shown, newBehavior())
			require.NoError(t, err)
			require.NoError(t, peer.CloseConn())

			for _, channels := range [][]byte{shown.Channels, {chA}} {
				waiting := admit()
				begun := time.Now()
				waiting.expectInfo(key.ID(), dialect)
				require.Equal(t, secretconn.DialectPause, time.Since(begun))
				waiting.chunks(waiting.ownInfo(dialect))
				pending, err := relay.AcceptPending(t.Context())
				require.NoError(t, err)
				local := shown
				local.Channels = channels
				peer, err := pending.Complete(local, newBehavior())
				if len(channels) == 1 {
					require.ErrorIs(t, err, errOtherNodeInfo, "it was promised more channels")

					continue
				}
				require.NoError(t, err)
				synctest.Wait()
				require.Zero(t, waiting.conn.in.pending(), "it is shown one NodeInfo")
				require.NoError(t, peer.CloseConn())
			}
		})
	}
}

// TestHeldBackNodeInfoEndsWithTheStream does not sit out the pause.
func TestHeldBackNodeInfoEndsWithTheStream(t *testing.T) {
	against(t, func(t *testing.T, mt *MultiplexTransport, conn net.Conn, dialed *types.NetAddress, p *rawPeer) {
		errBroken := errors.New("broken")
		begun := time.Now()
		go func() {
			p.authenticate(wire.AuthTyped)
			p.conn.out.set(func() { p.conn.out.readErr = errBroken })
		}()
		_, err := establish(t, mt, conn, dialed, newBehavior())
		require.ErrorIs(t, err, errBroken)
		require.Zero(t, time.Since(begun))
	})
}
