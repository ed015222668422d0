package lp2p

import (
	"context"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// Security is a protocol that secures TCP connections. QUIC always has TLS.
type Security string

const (
	// SecurityNoise is libp2p's Noise handshake (XX, 25519, ChaChaPoly, SHA256). It connects
	// faster.
	SecurityNoise Security = "noise"
	// SecurityTLS is TLS 1.3. Two nodes of Go agree on a key by X25519MLKEM768, which protects
	// what is recorded today from quantum computers. It moves large messages faster.
	SecurityTLS Security = "tls"
)

// WithSecurity sets the protocol that the node proposes first when it dials over TCP; the other
// one is used if the remote lacks it. A listener takes either of them, as the dialer proposes.
// The default is SecurityNoise. With SecurityTLS the first contact with a peer of which only the
// TM2 ID is known takes a connection more, for a probe (docs/benchmarks.md has the figures).
func WithSecurity(first Security) Option {
	return func(o *options) {
		if o.security = first; first != SecurityNoise && first != SecurityTLS {
			o.report(fmt.Errorf("WithSecurity: %q is neither %q nor %q", first, SecurityNoise, SecurityTLS))
		}
	}
}

// option returns the security protocols in the order in which they are proposed.
func (s Security) option() libp2p.Option {
	withNoise, withTLS := libp2p.Security(noise.ID, newNoise), libp2p.Security(tls.ID, newTLS)
	if s == SecurityTLS {
		return libp2p.ChainOptions(withTLS, withNoise)
	}

	return libp2p.ChainOptions(withNoise, withTLS)
}

// tunedSecurity sets socket options before it secures a connection. Libp2p has no other
// place for it that covers both directions.
type tunedSecurity struct{ sec.SecureTransport }

// SecureInbound implements sec.SecureTransport.
func (t tunedSecurity) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return secureTuned(ctx, insecure, p, t.SecureTransport.SecureInbound)
}

// SecureOutbound implements sec.SecureTransport.
func (t tunedSecurity) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return secureTuned(ctx, insecure, p, t.SecureTransport.SecureOutbound)
}

func secureTuned(
	ctx context.Context, insecure net.Conn, p peer.ID,
	secure func(context.Context, net.Conn, peer.ID) (sec.SecureConn, error),
) (sec.SecureConn, error) {
	drain, err := socket.NewDrain(insecure)
	if err != nil {
		return nil, err
	}
	c, err := secure(ctx, insecure, p)
	if err != nil {
		return nil, err
	}

	return &tunedConn{SecureConn: c, drain: drain}, nil
}

// tunedConn tells the muxer how fast the socket below it drains.
type tunedConn struct {
	sec.SecureConn
	drain *socket.Drain
	muxer protocol.ID // agreed on in the handshake, if SecureConn does not tell
}

// ConnState implements sec.SecureConn.
func (c *tunedConn) ConnState() network.ConnectionState {
	if c.muxer == "" {
		return c.SecureConn.ConnState()
	}

	return network.ConnectionState{StreamMultiplexer: c.muxer, UsedEarlyMuxerNegotiation: true}
}

func newNoise(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (tunedSecurity, error) {
	t, err := noise.New(id, key, muxers)

	return tunedSecurity{t}, err
}

func newTLS(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (tunedSecurity, error) {
	t, err := tls.New(id, key, muxers)

	return tunedSecurity{t}, err
}
