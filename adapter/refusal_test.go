package adapter

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// Each end logs a refusal once, with the peer, its address, the reason and the keys that
// would change it.
func TestRefusalIsLoggedOnceOnBothEnds(t *testing.T) {
	for name, c := range map[string]struct {
		options []SwitchOption
		keys    []string
	}{
		"no slot": {[]SwitchOption{WithMaxInboundPeers(1), WithAllowDuplicateIP(true)}, []string{"max_num_inbound_peers", "unconditional_peer_ids"}},
		"same IP": {nil, []string{"allow_duplicate_ip", "unconditional_peer_ids"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				var hubLog, nodeLog bytes.Buffer
				hub := newNode(t, network, append(c.options, WithLogger(logTo(&hubLog)))...)
				first := newNodeAt(t, network, sharedIP, 1)
				second := newNodeAt(t, network, sharedIP, 2, WithLogger(logTo(&nodeLog)))
				defer start(t, hub, first, second)()
				connect(t, first, hub)
				second.DialPeers(hub.addr())
				synctest.Wait()
				require.False(t, hub.Peers().Has(second.id()))
				requireLine(t, hubLog.String(), append(c.keys, "peer refused", "peer="+second.id().String(), "address="+sharedIP.String())...)
				requireLine(t, nodeLog.String(), append(c.keys, "cannot dial peer", "peer="+hub.id().String(),
					"address="+hub.addr().DialString(), "failure=busy", "rejected by the peer")...)
			})
		})
	}
}

// The refusal of a blocked peer names the keys, and does not tell the peer which of them has it.
func TestRefusalOfABlockedPeerNamesTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		var hubLog, nodeLog bytes.Buffer
		hub := newNode(t, network, WithLogger(logTo(&hubLog)))
		node := newNodeAt(t, network, sharedIP, 1, WithLogger(logTo(&nodeLog)))
		require.NoError(t, hub.BlockPeer(node.id()))
		defer start(t, hub, node)()
		node.DialPeers(hub.addr())
		synctest.Wait()
		requireLine(t, hubLog.String(), "peer refused", "peer="+node.id().String(), "(blocked_peers, blocked_ips)")
		requireLine(t, nodeLog.String(), "cannot dial peer", "rejected by the peer", "(blocked_peers, blocked_ips)")
	})
}

// Strangers can cause refusals without end, so one of each network and reason is logged in a
// minute, with the number of the others.
func TestRefusalsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		var log lockedBuffer
		hub := newNode(t, network, WithMaxInboundPeers(0), WithLogger(logTo(&log)))
		defer start(t, hub)()
		refuse := func(ip net.IP) {
			info := compat.ConnInfo{SocketAddr: &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: ip, Port: 1}, RemoteIP: ip}
			require.Error(t, hub.behavior.AdmitPeer(info, types.NodeInfo{}))
		}
		lines := func() (n int) { return strings.Count(log.String(), "peer refused") }
		for i := range 200 {
			refuse(net.IPv4(9, 8, 7, byte(i)))
		}
		require.Equal(t, 1, lines())
		refuse(net.IPv4(9, 8, 6, 1))
		require.Equal(t, 2, lines())
		pass(time.Minute)
		require.Equal(t, 3, lines())
		require.Contains(t, log.String(), "more_times=199 reason=full network=9.8.7.0/24")
		for i := range 1000 {
			refuse(net.IPv4(byte(20+i>>8), byte(i), 1, 1))
		}
		require.Less(t, lines(), 20)
		for i := range 20 {
			for hub.conduct.Refusal("", netgroup.Host(netip.AddrFrom4([4]byte{9, 8, 7, byte(i)}))) == nil {
				require.Error(t, hub.behavior.AdmitConn(net.IPv4(9, 8, 7, byte(i))))
			}
		}
		require.Equal(t, 1, strings.Count(log.String(), "host is refused for a while"))
	})
}

// A remote that takes its session back before it is a peer cannot choose of how many kinds the lines
// are by the code that it gives.
func TestRefusalsOfTheRemoteAreOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		hub := newNode(t, memory.NewNetwork(), WithLogger(logTo(&log)))
		defer start(t, hub)()
		for code := range 256 {
			reason := &compat.RejectError{Code: compat.RejectCode(code), Remote: true}
			hub.reportRefusal(testID(1), &net.TCPAddr{IP: net.IPv4(9, 8, 7, 6)}, false, reason)
		}
		require.Equal(t, 1, strings.Count(log.String(), "peer refused"))
		pass(time.Minute)
		require.Contains(t, log.String(), `more_times=255 reason="by the remote" network=9.8.7.0/24`)
	})
}

// Strangers of many hosts that are let in and leave at once do not fill the log. A session of a minute
// and those of configured peers are told all the same, and the first ones of a node are.
func TestSessionsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		var log lockedBuffer
		friend := newNode(t, network)
		hub := newNode(t, network, WithLogger(logTo(&log)), WithUnconditionalPeers([]types.ID{friend.id()}))
		stays := newNodeAt(t, network, net.IPv4(8, 8, 8, 8), 1)
		defer start(t, hub, friend, stays)()
		lines := func(msg string, n *node) (count int) {
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, msg) && (n == nil || strings.Contains(line, "peer="+n.id().String())) {
					count++
				}
			}

			return count
		}
		connect(t, stays, hub)
		for i := range 200 {
			n := newNodeAt(t, network, net.ParseIP(fmt.Sprintf("2a00:1:2:%x::1", i)), 1)
			stop := start(t, n)
			connect(t, n, hub)
			stop()
			synctest.Wait()
			if i == sessionLines/2-3 {
				require.Equal(t, sessionLines/2-1, lines("peer connected", nil), "the first ones")
			}
		}
		require.LessOrEqual(t, lines("peer connected", nil)+lines("stopping peer", nil), sessionLines+2)
		pass(time.Minute)
		require.Contains(t, log.String(), "reason=session network=2a00:1:2::/48")
		connect(t, friend, hub)
		hub.StopPeerForError(hub.Peers().Get(friend.id()), errTest)
		hub.StopPeerForError(hub.Peers().Get(stays.id()), errTest)
		synctest.Wait()
		require.Equal(t, 1, lines("peer connected", friend))
		require.Equal(t, 1, lines("stopping peer", friend))
		require.Equal(t, 1, lines("stopping peer", stays))
	})
}

// Strangers can tell dead addresses without end, so failures to dial them are summed up too.
// Those of configured peers are not.
func TestFailedDialsOfHintsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		var log lockedBuffer
		seed := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(9, 8, 7, 250), Port: 1}
		hub := newNode(t, network, WithLogger(logTo(&log)), WithSeeds([]*types.NetAddress{&seed}))
		defer start(t, hub)()
		pass(2 * seedWaitAlone)
		for i := range 200 {
			hub.DialHints(testID(1), &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(9, 8, 7, byte(i)), Port: 1})
		}
		pass(20 * time.Second)
		seedLines := strings.Count(log.String(), "peer="+seed.ID.String())
		require.Greater(t, seedLines, 1)
		require.Equal(t, seedLines+1, strings.Count(log.String(), "cannot dial peer"))
		pass(time.Minute)
		require.Contains(t, log.String(), `msg="cannot dial peer" more_times=199 reason=`)
	})
}

// A node of another network learns that it is one, although there is no slot either.
func TestOtherNetworkIsToldBeforeFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		info := network.NewNodeInfo(chA, chB)
		info.Network = "another"
		tr, err := network.NewTransportFor(info)
		require.NoError(t, err)
		var log bytes.Buffer
		hub, foreign := newNode(t, network, WithMaxInboundPeers(0)), newNodeOn(t, tr, nil, WithLogger(logTo(&log)))
		defer start(t, hub, foreign)()
		foreign.DialPeers(hub.addr())
		synctest.Wait()
		requireLine(t, log.String(), "cannot dial peer", `failure="`+compat.DialOtherNetwork.String()+`"`, "incompatible")
	})
}

// lockedBuffer is a log that is read while timers write to it.
type lockedBuffer struct {
	mtx sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mtx.Lock()
	defer b.mtx.Unlock()

	return b.buf.String()
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// requireLine requires that exactly one line of the log has the first part, and that this
// line has the others, too. No other line is about a refusal.
func requireLine(t *testing.T, log string, parts ...string) {
	t.Helper()
	var about []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "reject") || strings.Contains(line, "refused") {
			about = append(about, line)
		}
	}
	require.Len(t, about, 1, log)
	for _, part := range parts {
		require.Contains(t, about[0], part)
	}
}
