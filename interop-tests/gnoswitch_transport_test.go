package interoptests

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

const (
	// gnoRate is a rate limit in bytes per second that replaces gno's 500 kB/s, since the
	// suites move tens of megabytes.
	gnoRate = 1 << 30

	// gnoPatience is how long a gno transport may take to end. It waits for handshakes,
	// which have two steps of 3 s each.
	gnoPatience = time.Minute

	// portAttempts is how many ports are tried: another process may take a free one before
	// gno listens.
	portAttempts = 10
)

// gnoTransport is gno's transport converted to ours, with gno's Close.
type gnoTransport struct {
	compat.Transport
	gno *p2p.MultiplexTransport
}

// Close implements io.Closer.
func (t *gnoTransport) Close() error { return t.gno.Close() }

// newGnoTransport returns gno's own transport, which listens as the spec says.
func newGnoTransport(t *testing.T, spec compattest.Spec) *gnoTransport {
	t.Helper()
	key, err := dropin.NodeKey(spec.Key)
	require.NoError(t, err)
	config := conn.DefaultMConnConfig()
	config.SendRate, config.RecvRate = gnoRate, gnoRate

	listen := func(port uint16) (*gnoTransport, error) {
		// gno sends the NodeInfo it was made with, so the port must be known before.
		info := spec.Info
		addr := *info.NetAddress
		addr.Port = port
		info.NetAddress = &addr
		tr := p2p.NewMultiplexTransport(dropin.NodeInfo(info), key, config, slog.New(slog.DiscardHandler))

		return &gnoTransport{Transport: dropin.FromTransport(tr), gno: tr}, tr.Listen(*dropin.NetAddress(&addr))
	}
	if port := spec.Info.NetAddress.Port; port != 0 {
		tr, err := listen(port)
		require.NoError(t, err)

		return tr
	}
	for range portAttempts {
		if tr, err := listen(stacktest.FreePortAt(t, spec.Info.NetAddress.IP)); err == nil {
			return tr
		}
	}
	t.Fatal("no port is free")

	return nil
}

// finish closes the transport and its unaccepted peers, and waits until gno's accept loop has
// ended.
func (tr *gnoTransport) finish(t *testing.T) {
	t.Helper()
	if err := tr.gno.Close(); err != nil {
		require.ErrorIs(t, err, net.ErrClosed) // the suite has closed it
	}
	ctx, cancel := context.WithTimeout(context.Background(), gnoPatience)
	defer cancel()
	for {
		peer, err := tr.Accept(ctx, noReactors{})
		if errors.Is(err, compat.ErrTransportClosed) {
			return
		}
		require.NoError(t, err)
		if err := peer.CloseConn(); err != nil {
			require.ErrorIs(t, err, net.ErrClosed)
		}
	}
}

// noReactors is a PeerBehavior without reactors.
type noReactors struct{}

func (noReactors) ReactorChDescriptors() []*compat.ChannelDescriptor { return nil }

func (noReactors) Reactors() map[byte]compat.Reactor { return nil }

func (noReactors) HandlePeerError(compat.PeerConn, error) {}

func (noReactors) IsPersistentPeer(types.ID) bool { return false }

func (noReactors) IsPrivatePeer(types.ID) bool { return false }
