package lp2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/multiformats/go-multistream"
)

// probeTimeout bounds a probe whose context has no earlier deadline.
const probeTimeout = 5 * time.Second

// ProbeIdentity connects to "ip:port" and returns the peer ID that whoever answers
// there proves to own, under a throw-away identity of this node's. It takes at
// most 5 seconds, less if ctx ends earlier, and leaves no connection behind. When
// something other than libp2p with Noise answers, the error wraps ErrNotLibp2p;
// silence proves nothing and gives the error of the context.
//
// The answer says who is there now. Whoever connects afterwards has to verify it
// again.
func ProbeIdentity(ctx context.Context, dialString string) (peer.ID, error) {
	return probeIdentity(ctx, nil, dialString)
}

// probeIdentity is ProbeIdentity over another TCP than the system's if dial is not
// nil.
func probeIdentity(ctx context.Context, dial DialFunc, dialString string) (peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()

	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", dialString)
	if err != nil {
		return "", fmt.Errorf("unable to probe %s: %w", dialString, err)
	}
	defer conn.Close()

	// Ends whatever waits on the connection.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	id, err := probe(ctx, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done() // the connection has no other deadline, but is a moment early
	}
	switch {
	case err == nil:
		return id, nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("unable to probe %s: no answer: %w", dialString, ctx.Err())
	default:
		return "", fmt.Errorf("unable to probe %s: %w: %w", dialString, ErrNotLibp2p, err)
	}
}

func probe(ctx context.Context, conn net.Conn) (peer.ID, error) {
	if err := multistream.SelectProtoOrFail(noise.ID, conn); err != nil {
		return "", fmt.Errorf("negotiation of %s failed: %w", noise.ID, plain(err))
	}

	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	transport, err := noise.New(noise.ID, key, nil)
	if err != nil {
		return "", err
	}
	session, err := transport.WithSessionOptions(noise.DisablePeerIDCheck())
	if err != nil {
		return "", err
	}

	secure, err := session.SecureOutbound(ctx, conn, "")
	if err != nil {
		return "", fmt.Errorf("noise handshake failed: %w", plain(err))
	}

	return secure.RemotePeer(), nil
}

// plain gives the usual end of a foreign conversation a readable text.
func plain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("remote closed the connection: %w", err)
	}

	return err
}
