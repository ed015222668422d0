package lp2p

import (
	"flag"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/insecure"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var crossings = flag.Int("crossings", 100, "crossed dials in TestManyCrossedDials")

// Both sessions may share one libp2p connection, which must outlive the session that is
// closed. Encryption does not matter for that and takes two thirds of the time: nine pairs
// in ten run without it.
func TestManyCrossedDials(t *testing.T) {
	t.Parallel()
	const pairs, encrypted = 10, 1
	made := 0
	timeouts := DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake = patience, patience
	compattest.TestCrossedDials(t, func(*testing.T) compattest.MakeSwitch {
		return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
			t.Helper()
			opts := []Option{WithTimeouts(timeouts)}
			if made >= 2*encrypted {
				opts = append(opts, withTCP(libp2p.Transport(clearTCP), new(net.Dialer).DialContext))
			}
			made++
			tr, err := NewTransport(spec.Info, spec.Key, nil, opts...)
			require.NoError(t, err)
			require.NoError(t, tr.Listen(*spec.Info.NetAddress))

			return switchtest.New(t, spec, tr, switchtest.Unsuspecting())
		}
	}, pairs, max(1, *crossings/pairs))
}

// clearTCP makes libp2p's TCP with its plaintext security, which identifies the
// peers and does not encrypt. Noise is there for probes.
func clearTCP(
	id peer.ID, key crypto.PrivKey, resources network.ResourceManager, gater connmgr.ConnectionGater,
) (*tcp.TcpTransport, error) {
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: newMuxer(DefaultTimeouts())}}
	secure, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	u, err := upgrader.New([]sec.SecureTransport{insecure.NewWithIdentity(insecure.ID, id, key), secure},
		muxers, nil, resources, gater)
	if err != nil {
		return nil, err
	}

	return tcp.NewTCPTransport(u, resources, nil, tcp.DisableReuseport())
}
