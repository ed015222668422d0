package rawsession

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Server is a libp2p peer that a node dials.
type Server struct {
	Client

	controls chan network.Stream // the first control stream
}

// listening is the TCP transport on a listener that is there already.
type listening struct {
	*tcp.TcpTransport

	upgrader transport.Upgrader
	listener net.Listener
}

// Listen implements transport.Transport.
func (l *listening) Listen(multiaddr.Multiaddr) (transport.Listener, error) {
	at, err := manet.WrapNetListener(l.listener)
	if err != nil {
		return nil, err
	}

	return l.upgrader.UpgradeGatedMaListener(l, l.upgrader.GateMaListener(at)), nil
}

// Listen accepts a node at the listener, which Close closes. Each wait for the node takes patience at
// most.
func Listen(key ed25519.PrivateKey, listener net.Listener, patience time.Duration) (*Server, error) {
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	at, err := manet.FromNetAddr(listener.Addr())
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(
		libp2p.Identity(identity), libp2p.ListenAddrs(at), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.UserAgent("tm2net conform"),
		libp2p.Transport(func(u transport.Upgrader, rcmgr network.ResourceManager) (*listening, error) {
			t, err := tcp.NewTCPTransport(u, rcmgr, nil)

			return &listening{TcpTransport: t, upgrader: u, listener: listener}, err
		}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("libp2p host: %w", err), listener.Close())
	}
	s := &Server{Client: Client{Key: key, host: h, patience: patience}, controls: make(chan network.Stream, 1)}
	h.SetStreamHandler(ChannelProtocol, take)
	h.SetStreamHandler(SessionProtocol, func(st network.Stream) {
		select {
		case s.controls <- st:
		default:
			_ = st.Reset() // one is enough for a case
		}
	})

	return s, nil
}

// Control returns the control stream that the node opens, and the connection with it. await waits
// until the channel is closed, as the node dials when it likes.
func (s *Server) Control(ctx context.Context, await func(context.Context, <-chan struct{}) error) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	arrived, ended := make(chan struct{}), make(chan struct{})
	var first network.Stream
	go func() {
		defer close(ended)
		select {
		case first = <-s.controls:
			close(arrived)
		case <-ctx.Done():
		}
	}()
	err := await(ctx, arrived)
	cancel()
	<-ended
	if err != nil {
		return nil, err
	}
	s.remote = first.Conn().RemotePeer()

	return &Stream{stream: first, patience: s.patience}, nil
}
