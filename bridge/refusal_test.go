package bridge

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// Both ends log once that a bridge has refused a node: the bridge with who, from where, why and the key
// that would change it, and a libp2p node with the same reason and key. The native protocol has no
// reasons, so a native node can only say at which step the bridge has hung up.
func TestRefusalIsLoggedOnceOnBothEnds(t *testing.T) {
	const full = "the bridge has no free pair: 1 are taken for 127.0.0.1, as [bridge].max_pairs_per_ip says"
	for stack, c := range map[string]struct{ bridge, node []string }{
		InitiatorNative: {
			[]string{`msg="inbound connection refused"`, "@127.0.0.1:", full},
			[]string{"failure=refused", "unable to receive node info"},
		},
		InitiatorLibp2p: {
			[]string{`msg="libp2p peer refused"`, "address=127.0.0.1:", full},
			[]string{"failure=busy", "rejected by the peer", full},
		},
	} {
		t.Run(stack, func(t *testing.T) {
			r := refuseOne(t, stack)
			for range 5 {
				if !r.late {
					break
				}
				r = refuseOne(t, stack) // a node that has hung up on a busy machine was not refused
			}
			require.False(t, r.late)
			requireOneLine(t, r.bridge.String(), r.id.String(), append(c.bridge, "level=INFO")...)
			requireOneLine(t, r.node.String(), r.at.ID.String(), append(c.node, "level=INFO", `msg="cannot dial peer"`, r.at.DialString())...)
		})
	}
}

// refused are the logs of a bridge and of a node that it has refused.
type refused struct {
	bridge, node stacktest.Log
	id           types.ID         // of the node
	at           types.NetAddress // where it has dialed the bridge
	late         bool             // see wasLate
}

// refuseOne has a node of the stack dial, once, a bridge whose only slot for the host is taken. Both
// have stopped when it returns.
func refuseOne(t *testing.T, stack string) *refused {
	t.Helper()
	r := new(refused)
	b, err := New(*types.GenerateNodeKey(), Config{
		NativeListen: loopback(), Libp2pListen: loopback(), MaxPairsPerIP: 1, OnlyConfigured: true,
		Libp2pPeers: addresses(newNode(t, InitiatorLibp2p)), NativePeers: addresses(newNode(t, InitiatorNative)),
	}, slog.New(slog.NewTextHandler(&r.bridge, nil)))
	require.NoError(t, err)
	b.patient()
	require.NoError(t, b.Start())
	stop := sync.OnceFunc(func() { require.NoError(t, b.Stop()) })
	t.Cleanup(stop)
	newNode(t, InitiatorNative).join(t, b.NativeAddress())

	n := startNodeLogging(t, slog.New(slog.NewTextHandler(&r.node, nil)), stack, types.GenerateNodeKey(), loopback(), nil)
	if r.id, r.at = n.address.ID, b.NativeAddress(); stack == InitiatorLibp2p {
		r.at = b.Libp2pAddress()
	}
	failed, done := n.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	begun := time.Now()
	n.dial(r.at)
	r.late = wasLate(begun, next(t, failed).(events.DialFailedEvent).Reason)
	n.stop()
	stop()

	return r
}

// requireOneLine requires that one line of the log names the peer, and that it has the parts.
func requireOneLine(t *testing.T, log, peer string, parts ...string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, peer) {
			lines = append(lines, line)
		}
	}
	require.Len(t, lines, 1, log)
	for _, part := range parts {
		require.Contains(t, lines[0], part)
	}
}
