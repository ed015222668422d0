package lp2p

import (
	"context"
	"crypto/ed25519"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// raw is a libp2p host with patientTimeouts that speaks the session protocol by hand.
type raw struct {
	t    testing.TB
	host host.Host
	key  *types.NodeKey
	info types.NodeInfo
}

func newRaw(t testing.TB) *raw {
	t.Helper()
	key := types.GenerateNodeKey()
	o, err := newOptions([]Option{WithTimeouts(patientTimeouts())})
	require.NoError(t, err)
	h, err := newHost(key.PrivKey, o, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })

	return &raw{t: t, host: h, key: key, info: nodeInfo(key.ID())}
}

// connect opens a libp2p connection to the node.
func (r *raw) connect(n *node) network.Conn {
	r.t.Helper()
	r.host.Peerstore().AddAddrs(n.Host().ID(), n.Host().Addrs(), peerstore.TempAddrTTL)
	c, err := r.host.Network().DialPeer(timeout(r.t), n.Host().ID())
	require.NoError(r.t, err)

	return c
}

// listen lets nodes dial the host.
func (r *raw) listen() types.NetAddress {
	r.t.Helper()
	maddr, err := p2paddr.TCPMultiaddr(net.IPv4(127, 0, 0, 1), 0)
	require.NoError(r.t, err)
	require.NoError(r.t, r.host.Network().Listen(maddr))
	ip, port, ok := p2paddr.Endpoint(r.host.Network().ListenAddresses()[0])
	require.True(r.t, ok)

	return types.NetAddress{ID: r.key.ID(), IP: ip, Port: port}
}

func (r *raw) open(c network.Conn, data bool) *stream.Stream {
	r.t.Helper()
	proto := SessionProtocol
	if data {
		proto = ChannelProtocol
	}
	s, err := stream.Open(timeout(r.t), c, proto)
	require.NoError(r.t, err)
	require.NoError(r.t, s.SetDeadline(time.Now().Add(patience)))

	return s
}

func (r *raw) hello(e control.Epoch) *control.Hello {
	body, err := r.info.MarshalBinary()
	require.NoError(r.t, err)

	return &control.Hello{Version: control.Version, Epoch: e, NodeInfo: body}
}

// say sends bytes or a control message on a control stream and returns the answer.
func (r *raw) say(s *stream.Stream, what any) (control.Message, error) {
	r.t.Helper()
	b, ok := what.([]byte)
	if !ok {
		b = control.Append(nil, what.(control.Message))
	}
	_, err := s.Write(b)
	require.NoError(r.t, err)

	return control.Read(s)
}

// session makes a session with a node that accepts.
func (r *raw) session(n *node) (c network.Conn, ctrl *stream.Stream, e control.Epoch, p *Peer) {
	r.t.Helper()
	c, e = r.connect(n), control.NewEpoch()
	ctrl = r.open(c, false)
	type outcome struct {
		m   control.Message
		err error
	}
	got := make(chan outcome, 1)
	go func() {
		m, err := r.say(ctrl, r.hello(e))
		got <- outcome{m, err}
	}()
	p = n.accept(r.t)
	o := <-got
	require.NoError(r.t, o.err)
	require.IsType(r.t, &control.Accept{}, o.m)
	require.NoError(r.t, p.Start())

	return c, ctrl, e, p
}

// data opens a data stream and sends its header and the given bytes.
func (r *raw) data(c network.Conn, e control.Epoch, channel byte, b ...byte) *stream.Stream {
	r.t.Helper()
	s := r.open(c, true)
	_, err := s.Write(append(append(e[:], channel), b...))
	require.NoError(r.t, err)

	return s
}

func message(b ...byte) []byte { return protowire.AppendBytes(nil, b) }

// goodbyeOf reads the goodbye with which the node ends the session.
func goodbyeOf(t testing.TB, ctrl *stream.Stream) *control.Goodbye {
	t.Helper()
	m, err := control.Read(ctrl)
	require.NoError(t, err)
	require.IsType(t, &control.Goodbye{}, m)

	return m.(*control.Goodbye)
}

func requireReset(t testing.TB, s *stream.Stream) {
	t.Helper()
	require.NoError(t, s.SetReadDeadline(time.Now().Add(patience)))
	var b [1]byte
	_, err := s.Read(b[:])
	require.ErrorIs(t, err, network.ErrReset)
}

func peerID(t testing.TB, key *types.NodeKey) peer.ID {
	t.Helper()
	id, err := p2paddr.PeerIDFromPublicKey(key.PrivKey.Public().(ed25519.PublicKey))
	require.NoError(t, err)

	return id
}

// noPending checks that no handshake got as far as AcceptPending.
func noPending(t testing.TB, n *node) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := n.AcceptPending(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func rejectOf(t testing.TB, err error) compat.RejectError {
	t.Helper()
	var r *compat.RejectError
	require.ErrorAs(t, err, &r)

	return *r
}

type networkStream = network.Stream
