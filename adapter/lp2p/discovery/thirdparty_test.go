package discovery_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p"
	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	idpb "github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// stranger is a libp2p host that has nothing of this project and asks what it
// likes. It keeps every byte that it is told.
type stranger struct {
	host.Host
	pushed chan []byte

	mtx  sync.Mutex
	told [][]byte
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.DisableRelay(), libp2p.ForceReachabilityPublic())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	s := &stranger{Host: h, pushed: make(chan []byte, 16)}
	h.SetStreamHandler(identify.IDPush, func(stream network.Stream) {
		defer stream.Close()
		if body, err := wire.ReadSized(stream, 1<<20); err == nil {
			s.keep(body)
			s.pushed <- body
		}
	})

	return s
}

func (s *stranger) keep(b []byte) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.told = append(s.told, b)
}

// pretend makes the stranger say that it is a node of the network.
func (s *stranger) pretend(t *testing.T, name string) {
	t.Helper()
	id, err := p2paddr.TM2ID(s.ID())
	require.NoError(t, err)
	body, err := types.NodeInfo{
		NetAddress: &types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1), Port: 1},
		Network:    name, Channels: []byte{channel}, Moniker: "stranger",
	}.MarshalBinary()
	require.NoError(t, err)
	s.SetStreamHandler(lp2p.NodeInfoProtocol, func(stream network.Stream) {
		defer stream.Close()
		_, _ = stream.Write(wire.AppendSized(nil, body))
	})
}

// meet connects to the node.
func (s *stranger) meet(t *testing.T, n *node) {
	t.Helper()
	require.NoError(t, s.Connect(timeout(t), peer.AddrInfo{ID: n.t.Host().ID(), Addrs: n.t.Host().Network().ListenAddresses()}))
}

// connTo returns a connection to the node, one that the stranger has opened if there is any: the node
// may open one too, to see whether the stranger serves queries, and closes that when it knows.
func (s *stranger) connTo(t *testing.T, n *node) network.Conn {
	t.Helper()
	for _, c := range s.Network().ConnsToPeer(n.t.Host().ID()) {
		if c.Stat().Direction == network.DirOutbound {
			return c
		}
	}
	c, err := s.Network().DialPeer(timeout(t), n.t.Host().ID())
	require.NoError(t, err)

	return c
}

// ask sends raw bytes on a new stream and returns the message that comes back. It asks again when the
// node has closed the connection just then, as it does with those of strangers that are idle.
func (s *stranger) ask(t *testing.T, n *node, id protocol.ID, request []byte) ([]byte, error) {
	t.Helper()
	for {
		c := s.connTo(t, n)
		body, err := s.askOn(t, c, id, request)
		if err == nil || !c.IsClosed() {
			return body, err
		}
	}
}

func (s *stranger) askOn(t *testing.T, c network.Conn, id protocol.ID, request []byte) ([]byte, error) {
	t.Helper()
	stream, err := stream.Open(timeout(t), c, id)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(timeout(t), func() { _ = stream.Reset() })
	defer stop()
	if len(request) > 0 {
		if _, err := stream.Write(request); err != nil {
			return nil, err
		}
	}
	body, err := wire.ReadSized(stream, 1<<20)
	if err != nil {
		_ = stream.Reset()

		return nil, err
	}
	s.keep(body)

	return body, stream.Close()
}

// kad sends a message of the DHT and returns the answer.
func (s *stranger) kad(t *testing.T, n *node, msg *dhtpb.Message) (*dhtpb.Message, error) {
	t.Helper()
	raw, err := proto.Marshal(msg)
	require.NoError(t, err)
	body, err := s.ask(t, n, n.d.Protocol(), wire.AppendSized(nil, raw))
	if err != nil {
		return nil, err
	}
	answer := new(dhtpb.Message)

	return answer, proto.Unmarshal(body, answer)
}

// findNode asks for those closest to the key.
func (s *stranger) findNode(t *testing.T, n *node, key []byte) []peer.AddrInfo {
	t.Helper()
	answer, err := s.kad(t, n, dhtpb.NewMessage(dhtpb.Message_FIND_NODE, key, 0))
	require.NoError(t, err)
	var infos []peer.AddrInfo
	for _, info := range dhtpb.PBPeersToPeerInfos(answer.GetCloserPeers()) {
		infos = append(infos, *info)
	}

	return infos
}

// identify asks the node who it is.
func (s *stranger) identify(t *testing.T, n *node) *idpb.Identify {
	t.Helper()
	body, err := s.ask(t, n, identify.ID, nil)
	require.NoError(t, err)
	id := new(idpb.Identify)
	require.NoError(t, proto.Unmarshal(body, id))

	return id
}

// secrets are the forms in which a peer could be told.
func secrets(n *node) map[string][]byte {
	port := strconv.Itoa(int(n.addr().Port))

	return map[string][]byte{
		"peer ID":         []byte(n.t.Host().ID()),
		"peer ID in text": []byte(n.t.Host().ID().String()),
		"TM2 ID":          []byte(n.id()),
		"address":         multiaddr.StringCast("/ip4/127.0.0.1/tcp/" + port).Bytes(),
		"address in text": []byte(net.JoinHostPort("127.0.0.1", port)),
		"public key":      n.key.PrivKey.Public().(ed25519.PublicKey),
	}
}

// wasTold returns in what form the stranger was told of the node.
func (s *stranger) wasTold(n *node) (forms []string) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	for form, secret := range secrets(n) {
		for _, b := range s.told {
			if bytes.Contains(b, secret) {
				forms = append(forms, form)

				break
			}
		}
	}

	return forms
}

// interrogate asks the node everything that a stranger can ask it, about the other
// node too.
func (s *stranger) interrogate(t *testing.T, n, about *node) {
	t.Helper()
	keys := [][]byte{[]byte(about.t.Host().ID()), []byte(n.t.Host().ID()), []byte(s.ID())}
	for range 30 {
		key := make([]byte, 38)
		_, err := rand.Read(key)
		require.NoError(t, err)
		keys = append(keys, key)
	}
	for _, key := range keys {
		s.findNode(t, n, key)
	}
	// No records: neither kept, nor a way to learn who is near.
	for _, kind := range []dhtpb.Message_MessageType{
		dhtpb.Message_GET_PROVIDERS, dhtpb.Message_ADD_PROVIDER, dhtpb.Message_GET_VALUE, dhtpb.Message_PUT_VALUE,
	} {
		_, err := s.kad(t, n, dhtpb.NewMessage(kind, keys[0], 0))
		require.Error(t, err, kind)
	}
	// A ping is echoed: what is in it the stranger knows already.
	_, err := s.kad(t, n, dhtpb.NewMessage(dhtpb.Message_PING, nil, 0))
	require.NoError(t, err)

	s.identify(t, n)
	// A new protocol makes the node push its identity to all who are connected.
	n.t.Host().SetStreamHandler("/news/1", func(stream network.Stream) { _ = stream.Reset() })
	select {
	case <-s.pushed:
	case <-timeout(t).Done():
		require.Fail(t, "nothing was pushed")
	}
	n.t.Host().RemoveStreamHandler("/news/1")
	<-s.pushed

	_, err = s.ask(t, n, lp2p.NodeInfoProtocol, nil)
	require.NoError(t, err)
	for _, id := range []protocol.ID{lp2p.SessionProtocol, lp2p.ChannelProtocol} {
		// Neither a hello nor a session: a refusal is all there can be.
		_, _ = s.ask(t, n, id, wire.AppendSized(nil, []byte(about.t.Host().ID())))
	}
}
