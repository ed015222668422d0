package bridge

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// statusOf returns what the bridge says of a target.
func statusOf(t *testing.T, b *Bridge, id types.ID) TargetStatus {
	t.Helper()
	targets := b.Status().Targets
	i := slices.IndexFunc(targets, func(s TargetStatus) bool { return s.ID == id })
	require.GreaterOrEqual(t, i, 0)

	return targets[i]
}

// A configured target that has failed counts as down until it accepts connections again, which the
// bridge finds out without any node that dials.
func TestBridgeFindsOutThatATargetIsBack(t *testing.T) {
	for _, stack := range []string{InitiatorNative, InitiatorLibp2p, overQUIC} {
		t.Run(stack, func(t *testing.T) {
			key := types.GenerateNodeKey()
			n := startNodeAt(t, stack, key, freePort(t), nil)
			at := n.address
			n.stop()
			config := Config{Libp2pPeers: []*types.NetAddress{&at}, Libp2pQUIC: stack == overQUIC}
			if stack == InitiatorNative {
				config = Config{NativePeers: []*types.NetAddress{&at}}
			}
			var ts *targets
			// The penalty of the failure before the start, and of those that follow, is over.
			over := record{failures: 1, troubled: time.Now().Add(-24 * time.Hour)}
			b := newBridgeWith(t, config, func(b *Bridge) {
				b.moves = moveTimes{every: 10 * time.Millisecond}
				ts = b.libp2pTargets
				if stack == InitiatorNative {
					ts = b.nativeTargets
				}
				ts.records[at.ID] = over
			})
			require.Eventually(t, func() bool { return statusOf(t, b, at.ID).Failures == 2 }, testTimeout, time.Millisecond)
			s := statusOf(t, b, at.ID)
			require.Equal(t, TargetDown, s.State)
			require.NotEmpty(t, s.LastError)

			again := func() { // and what a dial that began before that shows counts no more
				ts.note(at.ID, time.Now(), func(record) record {
					r := over
					r.heard = time.Now()

					return r
				})
			}
			again()
			require.Equal(t, TargetDown, statusOf(t, b, at.ID).State, "its penalty is over, and nothing shows that it is back")
			startNodeAt(t, stack, key, at, nil)
			again()
			require.Eventually(t, func() bool { return statusOf(t, b, at.ID).State == TargetReady }, testTimeout, time.Millisecond)
		})
	}
}

// What a dial has shown meanwhile counts more.
func TestNoteAfterADial(t *testing.T) {
	ts := newTargets(idsOf("a"), nil, unused())
	begun := time.Now()
	ts.appeared("a", true, false)
	ts.note("a", begun.Add(-time.Second), func(r record) record { return r.after(unreachable, true) })
	require.Zero(t, ts.records["a"].failures)
	ts.note("a", time.Now(), func(r record) record { return r.after(unreachable, true) })
	require.Equal(t, 1, ts.records["a"].failures)
	require.Nil(t, ts.overdue(), "its penalty is not over")
	ts.records["a"] = record{failures: 1, troubled: time.Now().Add(-time.Hour)}
	require.NotNil(t, ts.overdue())
	ts.blocked = func(types.NetAddress) bool { return true }
	require.Nil(t, ts.overdue())
}

// A target that has failed is down also while it is dialed, unless it has a pair.
func TestStateOfATargetThatIsDialed(t *testing.T) {
	b := &Bridge{}
	failed, fresh := &target{record: record{failures: 1}, pairs: 1}, &target{pairs: 1}
	require.Equal(t, TargetDown, failed.state(b, false))
	require.Equal(t, TargetPaired, failed.state(b, true))
	require.Equal(t, TargetPaired, fresh.state(b, false))
}

// A libp2p target is up when it answers, and not because a connection to it is open. One that knows
// no ping answers too.
func TestOpenConnectionIsNoAnswer(t *testing.T) {
	var h host.Host
	libp2p := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, func(tr transport) adapter.SwitchOption {
		h = tr.(*lp2p.Transport).Host()

		return adapter.WithMaxInboundPeers(1)
	})
	m := &mover{Bridge: newBridgeWith(t, Config{Libp2pPeers: addresses(libp2p)}, func(b *Bridge) { b.pairTimeout = pairTimeout })}
	at := &target{side: m.libp2pTargets, addr: libp2p.address, configured: true}
	answers := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		conn, err := m.ping(ctx, at.addr)
		if err == nil {
			_ = conn.Close() // the node may have reset it
		}

		return err
	}
	require.NoError(t, answers())
	h.SetStreamHandler(ping.ID, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) }) // until its end
	for begun := time.Now(); ; {
		err := m.reach(at)
		require.Error(t, err)
		if strings.Contains(err.Error(), "no answer") {
			break
		}
		require.Equal(t, compat.DialTimedOut, compat.ClassifyDial(err), "%v", err)
		require.Less(t, time.Since(begun), testTimeout)
		t.Logf("it is repeated, since the stream was late: %v", err)
	}
	h.RemoveStreamHandler(ping.ID)
	require.NoError(t, answers())
}
