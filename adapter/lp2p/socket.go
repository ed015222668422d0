package lp2p

import (
	"context"
	"net"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// tunedSecurity sets the options of a connection's socket before it is secured:
// libp2p has no other place for it that covers both directions.
type tunedSecurity struct{ sec.SecureTransport }

// SecureInbound implements sec.SecureTransport.
func (t tunedSecurity) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	if err := socket.LimitUnsent(insecure); err != nil {
		return nil, err
	}

	return t.SecureTransport.SecureInbound(ctx, insecure, p)
}

// SecureOutbound implements sec.SecureTransport.
func (t tunedSecurity) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	if err := socket.LimitUnsent(insecure); err != nil {
		return nil, err
	}

	return t.SecureTransport.SecureOutbound(ctx, insecure, p)
}

func newNoise(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (tunedSecurity, error) {
	t, err := noise.New(id, key, muxers)

	return tunedSecurity{t}, err
}

func newTLS(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (tunedSecurity, error) {
	t, err := tls.New(id, key, muxers)

	return tunedSecurity{t}, err
}
