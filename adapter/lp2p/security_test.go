package lp2p

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// tap keeps what dialed connections receive.
type tap struct {
	socket.System

	mtx  sync.Mutex
	read bytes.Buffer
}

// DialContext implements compat.Sockets.
func (s *tap) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.System.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}

	return tappedConn{conn, s}, nil
}

type tappedConn struct {
	net.Conn
	tap *tap
}

func (c tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.mtx.Lock()
	defer c.tap.mtx.Unlock()
	c.tap.read.Write(p[:n])

	return n, err
}

// Numbers of TLS (RFC 8446 §4, and draft-ietf-tls-ecdhe-mlkem).
const (
	tlsHandshake      = 22
	tlsServerHello    = 2
	tlsKeyShare       = 51
	tlsX25519MLKEM768 = 0x11ec
)

// keyShareOf returns the group on which a server of TLS has agreed in its ServerHello.
func keyShareOf(t *testing.T, sent []byte) (group uint16) {
	t.Helper()
	var (
		kind                        uint8
		record, hello, sessionID    cryptobyte.String
		extensions, extension, body cryptobyte.String
	)
	in := cryptobyte.String(sent)
	require.True(t, in.ReadUint8(&kind) && in.Skip(2) && in.ReadUint16LengthPrefixed(&record))
	require.EqualValues(t, tlsHandshake, kind)
	require.True(t, record.ReadUint8(&kind) && record.ReadUint24LengthPrefixed(&hello))
	require.EqualValues(t, tlsServerHello, kind)
	require.True(t, hello.Skip(2+32) && hello.ReadUint8LengthPrefixed(&sessionID) && hello.Skip(2+1))
	require.True(t, hello.ReadUint16LengthPrefixed(&extensions))
	for extension = extensions; !extension.Empty(); {
		var id uint16
		require.True(t, extension.ReadUint16(&id) && extension.ReadUint16LengthPrefixed(&body))
		if id == tlsKeyShare {
			require.True(t, body.ReadUint16(&group))

			return group
		}
	}
	require.Fail(t, "the ServerHello has no key share")

	return 0
}

// Two nodes that secure their connection by TLS agree on its key by X25519MLKEM768, as the
// bytes on the wire show.
func TestTLSAgreesOnAPostQuantumKey(t *testing.T) {
	tapped := new(tap)
	a, b := newNode(t, nil, WithSecurity(SecurityTLS), WithSockets(tapped)), newNode(t, nil)
	_, err := p2paddr.Learn(a.book, b.Host().ID()) // no probe, which is Noise
	require.NoError(t, err)
	p, _ := connect(t, a, b)
	require.EqualValues(t, tls.ID, p.s.conn.ConnState().Security)

	tapped.mtx.Lock()
	defer tapped.mtx.Unlock()
	_, hello, found := bytes.Cut(tapped.read.Bytes(), []byte(tls.ID+"\n"))
	require.True(t, found, "the remote has taken TLS")
	require.EqualValues(t, tlsX25519MLKEM768, keyShareOf(t, hello))
}

// The dialer's choice counts, and a listener takes either.
func TestSecurityIsTheDialersChoice(t *testing.T) {
	withNoise, withTLS := newNode(t, nil), newNode(t, nil, WithSecurity(SecurityTLS))
	p, _ := connect(t, withNoise, withTLS)
	require.EqualValues(t, noise.ID, p.s.conn.ConnState().Security)
	require.NoError(t, p.Stop())

	other := newNode(t, nil)
	p, _ = connect(t, withTLS, other)
	require.EqualValues(t, tls.ID, p.s.conn.ConnState().Security)
}

func TestUnknownSecurity(t *testing.T) {
	key := types.GenerateNodeKey()
	_, err := NewTransport(nodeInfo(key.ID()), *key, nil, WithSecurity("TLS"))
	require.ErrorIs(t, err, compat.ErrInvalidOption)
	require.ErrorContains(t, err, `"TLS" is neither "noise" nor "tls"`)
}
