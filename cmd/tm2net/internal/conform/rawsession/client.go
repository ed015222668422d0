package rawsession

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The protocols of docs/sessions.md §1.
const (
	SessionProtocol  protocol.ID = "/tm2/session/1"
	ChannelProtocol  protocol.ID = "/tm2/channel/1"
	NodeInfoProtocol protocol.ID = "/tm2/nodeinfo/1"
)

// Client is a libp2p peer with one connection to a node. It is for one goroutine.
type Client struct {
	Key      ed25519.PrivateKey
	host     host.Host
	remote   peer.ID
	patience time.Duration
}

// dialer opens the TCP connection of a host.
type dialer func(context.Context) (net.Conn, error)

// DialContext implements the interface of the TCP transport. The address is that of the node.
func (d dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) { return d(ctx) }

// Dial connects to the node with the peer ID over TCP. dial opens the TCP connection. Each wait for
// the node takes patience at most.
func Dial(
	ctx context.Context, key ed25519.PrivateKey, at netip.AddrPort, remote peer.ID, dial func(context.Context) (net.Conn, error), patience time.Duration,
) (*Client, error) {
	forAddr := func(multiaddr.Multiaddr) (tcp.ContextDialer, error) { return dialer(dial), nil }
	addr, err := manet.FromNetAddr(net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}

	return connect(ctx, key, remote, addr, patience, libp2p.Transport(tcp.NewTCPTransport, tcp.WithDialerForAddr(forAddr)))
}

// DialQUIC is Dial over QUIC, at the same port number.
func DialQUIC(ctx context.Context, key ed25519.PrivateKey, at netip.AddrPort, remote peer.ID, patience time.Duration) (*Client, error) {
	addr, err := manet.FromNetAddr(net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}

	return connect(ctx, key, remote, addr.Encapsulate(quicVersion), patience, libp2p.Transport(quic.NewTransport))
}

// quicVersion is the end of a multiaddr of QUIC.
var quicVersion = multiaddr.StringCast("/quic-v1")

func connect(
	ctx context.Context, key ed25519.PrivateKey, remote peer.ID, addr multiaddr.Multiaddr, patience time.Duration, transport libp2p.Option,
) (*Client, error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	h, err := libp2p.New(
		libp2p.Identity(identity), libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.UserAgent("tm2net conform"), transport,
	)
	if err != nil {
		return nil, fmt.Errorf("libp2p host: %w", err)
	}
	h.SetStreamHandler(ChannelProtocol, take)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := h.Connect(ctx, peer.AddrInfo{ID: remote, Addrs: []multiaddr.Multiaddr{addr}}); err != nil {
		return nil, errors.Join(fmt.Errorf("libp2p connection: %w", err), h.Close())
	}

	return &Client{Key: key, host: h, remote: remote, patience: patience}, nil
}

// take accepts a data stream of the node and drops its messages.
func take(s network.Stream) {
	var header [17]byte
	_, err := io.ReadFull(s, header[:])
	if err == nil {
		err = s.CloseWrite()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, s)
	}
	if err != nil {
		_ = s.Reset() // it has failed
	}
}

// Close ends the connection and the host.
func (c *Client) Close() { _ = c.host.Close() } // the verdict is known

// ID returns the peer's own TM2 ID.
func (c *Client) ID() types.ID { return types.IDFromPublicKey(c.Key.Public().(ed25519.PublicKey)) }

// PeerID returns the peer's own peer ID.
func (c *Client) PeerID() peer.ID { return c.host.ID() }

// Remote returns the peer ID of the node.
func (c *Client) Remote() peer.ID { return c.remote }

// Open opens a stream on the connection.
func (c *Client) Open(ctx context.Context, p protocol.ID) (*Stream, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "one connection"), c.patience)
	defer cancel()
	s, err := c.host.NewStream(ctx, c.remote, p)
	if err != nil {
		return nil, err
	}

	return &Stream{stream: s, patience: c.patience}, nil
}
