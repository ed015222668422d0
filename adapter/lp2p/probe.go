package lp2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/multiformats/go-multistream"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// probeTimeout bounds a probe of no transport, whose context has no earlier deadline.
const probeTimeout = 5 * time.Second

// maxGreeting is how many of the remote's first bytes are kept to name its protocol.
const maxGreeting = 8

// dialFunc connects to an address of package net, like net.Dialer's DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// ProbeIdentity connects to "ip:port", under a temporary identity, and returns the peer ID
// that the node there proves to own. It closes the connection again. It takes at most 5
// seconds, less if ctx ends earlier. The error wraps ErrNotLibp2p when something other than
// libp2p with Noise answers, and is that of the context when nothing answers.
//
// Another node may be there later, so a connection has to verify the peer ID again.
func ProbeIdentity(ctx context.Context, dialString string) (peer.ID, error) {
	return probeIdentity(ctx, nil, probeTimeout, dialString)
}

// probeIdentity is ProbeIdentity with a dialer, of which nil is the system's, and another limit.
func probeIdentity(ctx context.Context, dial dialFunc, limit time.Duration, dialString string) (peer.ID, error) {
	if dial == nil {
		dial = socket.System{}.DialContext
	}

	return reach(ctx, dial, limit, dialString, func(ctx context.Context, conn net.Conn) (peer.ID, error) {
		defer conn.Close()

		return probe(ctx, conn)
	})
}

// reach connects to "ip:port" and returns what the handshake makes of the connection, which
// owns it. It takes no longer than the limit.
func reach[T any](
	ctx context.Context, dial dialFunc, limit time.Duration, dialString string, handshake func(context.Context, net.Conn) (T, error),
) (none T, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	opened, err := dial(ctx, "tcp", dialString)
	if err != nil {
		return none, fmt.Errorf("unable to probe %s: %w", dialString, err)
	}
	conn := &greetedConn{Conn: opened}

	// Ends whatever waits on the connection.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	result, err := handshake(ctx, conn)
	if !stop() && err == nil { // the connection ends below the result
		err = ctx.Err()
		if c, ok := any(result).(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done() // the deadline of the connection is that of ctx, and may pass a moment earlier
	}
	var wrong *compat.WrongIDError
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil:
		return none, fmt.Errorf("unable to probe %s: no answer: %w", dialString, ctx.Err())
	case errors.As(err, &wrong), errors.Is(err, compat.ErrNoResources):
		return none, err
	default:
		return none, fmt.Errorf("unable to probe %s: %w", dialString, conn.foreign(fmt.Errorf("%w: %w", ErrNotLibp2p, plain(err))))
	}
}

func probe(ctx context.Context, conn net.Conn) (peer.ID, error) {
	if err := multistream.SelectProtoOrFail(noise.ID, conn); err != nil {
		return "", fmt.Errorf("negotiation of %s failed: %w", noise.ID, err)
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
		return "", fmt.Errorf("noise handshake failed: %w", err)
	}

	return secure.RemotePeer(), nil
}

// greetedConn remembers the first bytes that the remote sends.
type greetedConn struct {
	net.Conn
	first []byte
}

func (c *greetedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.first = append(c.first, p[:min(n, maxGreeting-len(c.first))]...)

	return n, err
}

// NetConn returns the connection below, for socket.NewDrain.
func (c *greetedConn) NetConn() net.Conn { return c.Conn }

// SyscallConn implements syscall.Conn, so that options of the socket can be set.
func (c *greetedConn) SyscallConn() (syscall.RawConn, error) { return socket.Raw(c.Conn) }

// foreign makes the error a *compat.ForeignError if the remote's first bytes show that it
// does not speak libp2p with Noise. An end of the connection shows nothing: a libp2p node
// that is full, or stops, may close it at any point of the handshake.
func (c *greetedConn) foreign(err error) error {
	var (
		without     multistream.ErrNotSupported[string]
		withoutThis multistream.ErrNotSupported[protocol.ID]
	)
	answered := sniff.Protocol(c.first)
	if len(c.first) == 0 || answered == "libp2p" && !errors.As(err, &without) && !errors.As(err, &withoutThis) {
		return err
	}

	return &compat.ForeignError{Answered: answered, Err: err}
}

// plain makes the text of an end of the connection readable.
func plain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("remote closed the connection: %w", err)
	}

	return err
}
