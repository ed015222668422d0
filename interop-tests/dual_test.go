package interoptests

import (
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// startDualDropin starts a node with both stacks and gno's default config, but for the
// address.
func startDualDropin(t *testing.T) *node {
	t.Helper()
	log := peerlog.New("dual")
	showOnFailure(t, log)
	key := types.GenerateNodeKey()
	n := &node{Log: log, t: t, info: newNodeInfo(key.ID(), nodeOptions{moniker: "dual"}), queues: make(map[byte]chan func())}
	gnoKey, err := dropin.NodeKey(*key)
	require.NoError(t, err)
	cfg := gnoconfig.DefaultP2PConfig()
	cfg.ListenAddress = "tcp://127.0.0.1:0"
	sw, err := dropin.NewDualSwitch(dropin.NodeInfo(n.info), gnoKey, cfg,
		map[string]p2p.Reactor{"interop": dropin.Reactor(newRecorder(t, log, false))}, newLogger(log))
	require.NoError(t, err)
	n.sw, n.stop = sw.MultiplexSwitch(), sw.Close
	n.runSenders()
	n.watch()
	t.Cleanup(n.Stop)
	require.NoError(t, sw.Start())
	addr := sw.NetAddress()
	n.info.NetAddress = dropin.FromNetAddress(&addr)

	return n
}

// TestGnoAndDual connects stock gno nodes with a node of both stacks, in both directions. The
// gno node sees one connection for each dial: one that was late and repeated may have made a peer for a moment.
func TestGnoAndDual(t *testing.T) {
	t.Parallel()
	for _, version := range []string{legacy.V1_7_1, legacy.V1_4_0} {
		for _, gnoDials := range []bool{true, false} {
			name := version + "/dual dials"
			if gnoDials {
				name = version + "/gno dials"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				gno, ours := startReal(t, version), startDualDropin(t)
				var dialer, acceptor endpoint = ours, gno
				if gnoDials {
					dialer, acceptor = gno, ours
				}
				dialer.Dial(acceptor.Addr())
				requireConnected(t, dialer, acceptor)
				exchange(t, dialer, acceptor, on(realChannels, edges...))
				requireNoneLost(t, dialer, acceptor)
				up := gno.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp })
				require.LessOrEqual(t, len(up), 1+repeatsBetween(gno.ID(), ours.ID()))

				links := ours.sw.Links()
				require.Len(t, links, 1)
				require.Equal(t, types.StackNative, links[0].Stack)
				require.Equal(t, compat.DialectC, links[0].Dialect)
				require.Equal(t, !gnoDials, links[0].Outbound)
			})
		}
	}
}
