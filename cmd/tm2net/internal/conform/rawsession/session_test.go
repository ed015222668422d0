package rawsession

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A peer that does not answer is silent, which is no end: multiplexers tell it by errors of their own.
func TestSilenceIsNoEnd(t *testing.T) {
	key, listener := types.GenerateNodeKey().PrivKey, listen(t)
	server, err := Listen(key, listener, time.Minute)
	require.NoError(t, err)
	defer server.Close()
	identity, err := crypto.UnmarshalEd25519PrivateKey(key)
	require.NoError(t, err)
	remote, err := peer.IDFromPrivateKey(identity)
	require.NoError(t, err)
	at := listener.Addr().(*net.TCPAddr).AddrPort()
	client, err := Dial(t.Context(), types.GenerateNodeKey().PrivKey, at, remote, dialAt(at), time.Minute)
	require.NoError(t, err)
	defer client.Close()
	ours, err := client.Open(t.Context(), SessionProtocol)
	require.NoError(t, err)
	ours.Send(Reject(1, "full"))
	theirs, err := server.Control(t.Context(), arrives)
	require.NoError(t, err)
	m, err := theirs.ReadControl()
	require.NoError(t, err)
	require.Equal(t, Message{Kind: KindReject, Code: 1, Text: "full"}, m)

	theirs.SetPatience(time.Millisecond)
	_, err = theirs.ReadControl()
	require.True(t, IsSilent(err), "%v", err)

	theirs.SetPatience(time.Minute)
	ours.Reset()
	_, err = theirs.ReadControl()
	require.Error(t, err)
	require.False(t, IsSilent(err), "%v", err)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)

	return listener
}

func dialAt(at netip.AddrPort) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
	}
}

func arrives(ctx context.Context, arrived <-chan struct{}) error {
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
