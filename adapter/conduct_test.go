package adapter

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
)

var errBad = fmt.Errorf("message of no kind: %w", compat.ErrViolation)

// Who is refused after a violation, and who is not.
func TestWhoAnswersForAViolation(t *testing.T) {
	public, loopback := net.IPv4(9, 8, 7, 6), net.IPv4(127, 0, 0, 1)
	bridge := testID(50)
	for name, c := range map[string]struct {
		ip       net.IP
		by       types.ID
		opts     []SwitchOption
		id, host bool // refused
	}{
		"a stranger":                      {public, "", nil, true, true},
		"one of many nodes on a machine":  {loopback, "", nil, true, false},
		"one of many nodes on an IP":      {public, "", []SwitchOption{WithAllowDuplicateIP(true)}, true, false},
		"a neighbour of a persistent one": {public, "", []SwitchOption{WithPersistentPeers([]*types.NetAddress{{ID: testID(9), IP: public}})}, true, false},
		"a persistent peer":               {public, "", []SwitchOption{WithPersistentPeers([]*types.NetAddress{{ID: testID(1)}})}, false, false},
		"an unconditional peer":           {public, "", []SwitchOption{WithUnconditionalPeers([]types.ID{testID(1)})}, false, false},
		"presented by a stranger":         {public, bridge, nil, true, false},
		"presented by a configured one":   {public, bridge, []SwitchOption{WithUnconditionalPeers([]types.ID{bridge})}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, append(c.opts, WithLogger(logTo(&log)))...)
			conn := &connection{conn: &offender{ip: c.ip, by: c.by}, id: testID(1), gone: make(chan struct{})}
			sw.judgeEnd(conn, errBad, time.Second)
			ask := func(id types.ID, ip net.IP) error { return sw.registry.admissible(sw.candidate(id, false, ip, "")) }
			require.Equal(t, c.id, ask(testID(1), net.IPv4(1, 1, 1, 1)) != nil)
			require.Equal(t, c.host, ask(testID(2), c.ip) != nil)
			require.Equal(t, c.host, sw.behavior.AdmitConn(c.ip) != nil)
			require.Equal(t, c.id, sw.refuses(types.NetAddress{ID: testID(1), IP: net.IPv4(1, 1, 1, 1)}), "nor is it dialed")
			if !c.id {
				require.Contains(t, log.String(), "configured peer misbehaves")
			}
		})
	}
}

// A bridge does not answer for one of its nodes that breaks the protocol, but does for many.
func TestBridgeAnswersForManyViolations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that no points fade
		sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}})
		defer sw.refused.Close()
		bridge, times := net.IPv4(9, 8, 7, 6), 0
		for sw.registry.admissible(sw.candidate(testID(50), false, bridge, "")) == nil {
			require.Less(t, times, conduct.MaxPoints)
			conn := &connection{conn: &offender{ip: bridge, by: testID(50)}, id: testID(100 + times), gone: make(chan struct{})}
			sw.judgeEnd(conn, errBad, time.Second)
			times++
		}
		require.Equal(t, conduct.MaxPoints/conduct.RefusedPoints, times)
	})
}

// A session on a connection that another one has left costs as much as a connection. Who is
// exempt pays nothing, and a bridge little for its nodes.
func TestSessionAfterAnotherIsCharged(t *testing.T) {
	public, bridge := net.IPv4(9, 8, 7, 6), testID(50)
	const most, bridged = conduct.MaxPoints/conduct.ConnPoints - 1, conduct.MaxPoints/conduct.RefusedPoints - 1
	for name, c := range map[string]struct {
		by           types.ID
		opts         []SwitchOption
		same, others int // sessions of one ID until it is refused, or of many; 0: never
	}{
		"a stranger":                    {"", nil, most, most},
		"one of many nodes on an IP":    {"", []SwitchOption{WithAllowDuplicateIP(true)}, 0, 0},
		"a configured peer":             {"", []SwitchOption{WithUnconditionalPeers([]types.ID{testID(1)})}, 0, most},
		"presented by a stranger":       {bridge, nil, most, bridged},
		"presented by a configured one": {bridge, []SwitchOption{WithUnconditionalPeers([]types.ID{bridge})}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				admits := func(next func(i int) types.ID, again bool) (times int) {
					sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, c.opts...)
					defer sw.refused.Close()
					for ; times < 2*conduct.MaxPoints; times++ {
						info := compat.ConnInfo{
							SocketAddr: &types.NetAddress{ID: next(times), IP: public}, RemoteIP: public, DelegatedBy: c.by, Again: again,
						}
						if err := sw.behavior.AdmitPeer(info, types.NodeInfo{}); err != nil {
							requireCode(t, compat.RejectBanned, err)

							return times
						}
					}

					return 0
				}
				same := func(int) types.ID { return testID(1) }
				require.Zero(t, admits(same, false), "the first one has been charged for")
				require.Equal(t, c.same, admits(same, true))
				require.Equal(t, c.others, admits(func(int) types.ID { return types.GenerateNodeKey().ID() }, true))
			})
		})
	}
}

// offender is a PeerConn that only says where it is.
type offender struct {
	compat.PeerConn
	ip net.IP
	by types.ID
}

func (o *offender) RemoteIP() net.IP              { return o.ip }
func (o *offender) RemoteAddr() net.Addr          { return &net.TCPAddr{IP: o.ip} }
func (o *offender) DelegatedBy() (types.ID, bool) { return o.by, o.by != "" }
func (o *offender) SeenAt() netip.Prefix          { return netip.Prefix{} }

// TM2 nodes dial a full node again with each answer of discovery, every 3 s. They are still
// welcome once a slot is free, also if two of them share an IP. A flood is slowed down.
func TestFullNodeRefusesNoPatientHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		hub := newNode(t, network, WithMaxInboundPeers(1))
		first, second := newNodeAt(t, network, net.IPv4(9, 8, 7, 6), 1), newNodeAt(t, network, net.IPv4(9, 8, 7, 7), 1)
		defer start(t, hub, first, second)()
		connect(t, first, hub)
		for range 400 {
			requireCode(t, compat.RejectFull, hub.behavior.AdmitConn(second.addr().IP))
			requireCode(t, compat.RejectFull, hub.behavior.AdmitConn(second.addr().IP))
			pass(3 * time.Second)
		}
		hub.StopPeerForError(hub.Peers().Get(first.id()), errTest)
		synctest.Wait()
		connect(t, second, hub)
		for range conduct.MaxPoints / conduct.RefusedPoints {
			require.Error(t, hub.behavior.AdmitConn(first.addr().IP))
		}
		requireCode(t, compat.RejectBanned, hub.behavior.AdmitConn(first.addr().IP))
	})
}

// A session of a minute clears its host. The host of a configured peer that has been connected
// from there is never refused.
func TestHostsThatAreCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		guest, sentry := newNodeAt(t, network, net.IPv4(9, 8, 7, 6), 1), newNodeAt(t, network, net.IPv4(9, 8, 7, 7), 1)
		hub := newNode(t, network, WithUnconditionalPeers([]types.ID{sentry.id()}))
		defer start(t, hub, guest, sentry)()
		admits := func(n *node) (times int) {
			for times < 2*conduct.MaxPoints && hub.behavior.AdmitConn(n.addr().IP) == nil {
				times++
			}

			return times
		}
		connect(t, guest, hub)
		pass(usefulUptime)
		require.Equal(t, conduct.MaxPoints/conduct.RefusedPoints-1, admits(guest), "the IP has its peer")
		hub.StopPeerForError(hub.Peers().Get(guest.id()), errTest)
		synctest.Wait()
		require.Equal(t, conduct.MaxPoints/conduct.ConnPoints-1, admits(guest), "the session was useful")
		require.Zero(t, admits(guest))

		connect(t, sentry, hub)
		hub.StopPeerForError(hub.Peers().Get(sentry.id()), errTest)
		synctest.Wait()
		require.Equal(t, 2*conduct.MaxPoints, admits(sentry))
	})
}

// The hints of a peer that tells addresses at which other nodes answer are not dialed for a
// while. Its session goes on: a peer passes on what others announce, and who is connected to
// it could end its sessions otherwise.
func TestWrongAddressesAreBlamedOnTheirSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		liar, honest, third, configured := newNode(t, network), newNode(t, network), newNode(t, network), newNode(t, network)
		var dials atomic.Int32
		hub := newNodeOn(t, network.NewTransport(chA, chB), func(tr *memory.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(
				ctx context.Context, addr types.NetAddress, b compat.PeerBehavior,
			) (compat.PeerConn, error) {
				if addr.Port == third.addr().Port && addr.IP.Equal(third.addr().IP) {
					dials.Add(1)

					return nil, &compat.WrongIDError{Asked: addr.ID, Found: third.id()}
				}

				return tr.Dial(ctx, addr, b)
			}}
		}, WithUnconditionalPeers([]types.ID{configured.id()}))
		defer start(t, hub, liar, honest, third, configured)()
		for _, n := range []*node{liar, honest, configured} {
			connect(t, n, hub)
		}
		tell := func(source *node, times int) (dialed int) {
			before := dials.Load()
			for range times {
				wrong := *third.addr()
				wrong.ID = types.GenerateNodeKey().ID()
				hub.DialHints(source.id(), &wrong)
				synctest.Wait()
			}
			require.True(t, hub.Peers().Has(source.id()))

			return int(dials.Load() - before)
		}
		const most = conduct.MaxPoints / conduct.WrongAddrPoints
		require.Equal(t, most, tell(liar, 2*most))
		require.Equal(t, most-1, tell(honest, most-1))
		require.Equal(t, 2*most, tell(configured, 2*most))
		pass(conduct.FirstRefusal)
		require.Equal(t, most, tell(liar, 2*most))
	})
}

// A peer that is no longer persistent, and still unconditional, keeps its host open.
func TestUnconditionalPeerStaysTrusted(t *testing.T) {
	for _, unconditional := range []bool{true, false} {
		addr := types.NetAddress{ID: testID(1), IP: net.IPv4(1, 1, 1, 1), Port: 1}
		opts := []SwitchOption{WithPersistentPeers([]*types.NetAddress{&addr})}
		if unconditional {
			opts = append(opts, WithUnconditionalPeers([]types.ID{addr.ID}))
		}
		sw := NewMultiplexSwitch(&fixedAddress{addr: types.NetAddress{ID: testID(99)}}, opts...)
		host := netip.MustParsePrefix("9.8.7.6/32")
		sw.lists.noteHost(addr.ID, host, false)
		require.False(t, sw.accountable(host).IsValid())
		require.True(t, sw.RemovePersistentPeer(addr.ID))
		require.Equal(t, unconditional, !sw.accountable(host).IsValid())
		// The connection of a peer that was exempt when it began may be noted afterwards.
		other := netip.MustParsePrefix("9.8.7.7/32")
		sw.lists.noteHost(addr.ID, other, true)
		require.Equal(t, unconditional, !sw.accountable(other).IsValid())
	}
}

func TestBlockedIPs(t *testing.T) {
	bothWays(t, func(t *testing.T, prepare func(...*node)) {
		network := memory.NewNetwork()
		blocked, free := newNodeAt(t, network, net.IPv4(9, 8, 7, 6), 1), newNodeAt(t, network, net.IPv4(9, 8, 8, 6), 1)
		embedded := newNodeAt(t, network, net.ParseIP("2002:908:706::1"), 1)
		hub := newNode(t, network, WithBlockedIPs([]netip.Prefix{netip.MustParsePrefix("9.8.7.0/24")}),
			WithBlockedPeers([]types.ID{testID(1)}), WithUnconditionalPeers([]types.ID{blocked.id()}))
		prepare(blocked, embedded, free, hub)
		defer start(t, hub, blocked, embedded, free)()
		for _, n := range []*node{blocked, embedded} {
			n.DialPeers(hub.addr())
			hub.DialPeers(n.addr())
			synctest.Wait()
			require.False(t, hub.Peers().Has(n.id()))
			requireCode(t, compat.RejectBanned, hub.behavior.AdmitConn(n.addr().IP))
		}
		connect(t, free, hub)
		require.Equal(t, []types.ID{testID(1)}, hub.BlockedPeers())
	})
	sw := NewMultiplexSwitch(&fixedAddress{}, WithBlockedIPs([]netip.Prefix{netip.MustParsePrefix("::ffff:9.8.7.0/120")}))
	require.ErrorIs(t, sw.Start(), compat.ErrInvalidOption)
}

// A persistent peer that is blocked is not dialed, which the log says once, and cannot be added.
func TestBlockedPersistentPeerIsNotDialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		blocked := newNode(t, network)
		var logged bytes.Buffer
		hub := newDialingNode(t, network, WithBlockedPeers([]types.ID{blocked.id()}),
			WithPersistentPeers([]*types.NetAddress{blocked.addr()}), WithLogger(logTo(&logged)))
		defer start(t, hub.node, blocked)()
		pass(10 * maxRedial)
		require.True(t, hub.Redial(blocked.id()))
		pass(maxRedial)
		require.Empty(t, hub.addresses())
		require.Equal(t, 1, bytes.Count(logged.Bytes(), []byte("blocked_peers")), logged.String())

		require.True(t, hub.RemovePersistentPeer(blocked.id()))
		require.ErrorContains(t, hub.AddPersistentPeer(*blocked.addr()), "blocked_peers")
		require.False(t, hub.RemovePersistentPeer(blocked.id()), "it was not added")
		require.False(t, hub.Redial(blocked.id()))
		require.True(t, hub.UnblockPeer(blocked.id()))
		require.NoError(t, hub.AddPersistentPeer(*blocked.addr()))
		synctest.Wait()
		require.True(t, hub.Peers().Has(blocked.id()))
	})
}

// A persistent peer or seed at a blocked IP is not dialed, which the log says once, and cannot be
// added. One with a host name is dialed: it led to a blocked IP once.
func TestPersistentPeerAtABlockedIPIsNotDialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		blocked := newNodeAt(t, network, net.IPv4(9, 8, 7, 6), 1)
		seed := types.NetAddress{ID: testID(1), IP: net.IPv4(9, 8, 7, 5), Port: 1}
		named := types.NetAddress{ID: types.GenerateNodeKey().ID(), Hostname: "moved.example", IP: net.IPv4(9, 8, 7, 4), Port: 1}
		var logged bytes.Buffer
		hub := newDialingNode(t, network, WithBlockedIPs([]netip.Prefix{netip.MustParsePrefix("9.8.7.0/24")}),
			WithPersistentPeers([]*types.NetAddress{blocked.addr(), &named}), WithSeeds([]*types.NetAddress{&seed}),
			WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
		defer start(t, hub.node, blocked)()
		pass(10 * maxRedial)
		require.True(t, hub.Redial(blocked.id()))
		pass(maxRedial)
		require.Equal(t, []string{named.DialString()}, slices.Compact(hub.addresses()))
		require.Equal(t, 1, bytes.Count(logged.Bytes(), []byte("is in blocked_ips")))
		require.Equal(t, 1, bytes.Count(logged.Bytes(), []byte("seed is not dialed")))
		require.ErrorContains(t, hub.AddPersistentPeer(*blocked.addr()), "blocked_ips")
		require.NoError(t, hub.AddPersistentPeer(named))
	})
}
