package config_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

const (
	idA   = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	idB   = "g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q"
	peerA = idA + "@127.0.0.1:26656"
	peerB = idB + "@nowhere.invalid:26657"

	// channel is what any two nodes have in common.
	channel = 0x30

	// testTimeout only ends a test that has already failed.
	testTimeout = 30 * time.Second
)

// dialed is a dial that a switch has begun.
type dialed struct {
	addr    types.NetAddress
	timeout time.Duration
}

// spy is a transport that shows what a switch wants of it.
type spy struct {
	*memory.Transport
	sw       *adapter.MultiplexSwitch
	behavior chan compat.PeerBehavior
	dials    chan dialed
}

func newSpy(network *memory.Network) *spy {
	return &spy{Transport: network.NewTransport(channel), behavior: make(chan compat.PeerBehavior, 1), dials: make(chan dialed, 16)}
}

func (s *spy) Accept(ctx context.Context, behavior compat.PeerBehavior) (compat.PeerConn, error) {
	select {
	case s.behavior <- behavior:
	default:
	}

	return s.Transport.Accept(ctx, behavior)
}

func (s *spy) Dial(ctx context.Context, addr types.NetAddress, _ compat.PeerBehavior) (compat.PeerConn, error) {
	deadline, _ := ctx.Deadline()
	select {
	case s.dials <- dialed{addr, time.Until(deadline)}:
	default:
	}

	return nil, errors.New("nobody is there")
}

// startSwitch runs a switch that is made of the configuration alone, and returns
// its transport and what transports see of it.
func startSwitch(t *testing.T, network *memory.Network, cfg *config.P2PConfig) (*spy, compat.PeerBehavior) {
	t.Helper()
	s := newSpy(network)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	options, err := cfg.SwitchOptions()
	require.NoError(t, err)
	s.sw = adapter.NewMultiplexSwitch(s, options...)
	require.NoError(t, s.sw.Start())
	t.Cleanup(func() { require.NoError(t, s.sw.Stop()) })

	return s, next(t, s.behavior)
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(testTimeout):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// admit asks whether the peer may come in.
func admit(behavior compat.PeerBehavior, id types.ID, ip net.IP, outbound bool) error {
	info := compat.ConnInfo{
		Outbound: outbound, RemoteIP: ip, SocketAddr: &types.NetAddress{ID: id, IP: ip, Port: 1},
	}

	return behavior.(compat.PeerAdmission).AdmitPeer(info, types.NodeInfo{})
}

func TestSwitchDialsPersistentPeers(t *testing.T) {
	cfg := config.TestP2PConfig()
	cfg.PersistentPeers = " " + peerA + ", ," + peerB
	cfg.DialTimeout = time.Hour
	s, behavior := startSwitch(t, memory.NewNetwork(), cfg)

	byID := map[types.ID]types.NetAddress{}
	for len(byID) < 2 {
		d := next(t, s.dials)
		byID[d.addr.ID] = d.addr
		require.InDelta(t, cfg.DialTimeout, d.timeout, float64(cfg.DialTimeout/2))
	}
	a, b := byID[idA], byID[idB]
	require.Equal(t, peerA, a.String())
	require.Equal(t, "nowhere.invalid", b.Hostname, "the name is not given up")
	require.Nil(t, b.IP)
	require.True(t, behavior.IsPersistentPeer(idA))
	require.False(t, behavior.IsPersistentPeer(types.GenerateNodeKey().ID()))
}

func TestSwitchKeepsPeersPrivate(t *testing.T) {
	cfg := config.TestP2PConfig()
	cfg.PrivatePeerIDs = idA + "," + idB
	_, behavior := startSwitch(t, memory.NewNetwork(), cfg)
	require.True(t, behavior.IsPrivatePeer(idA))
	require.True(t, behavior.IsPrivatePeer(idB))
	require.False(t, behavior.IsPrivatePeer(types.GenerateNodeKey().ID()))
}

// TestSwitchKnowsAPeerByAnyFormOfItsID checks that a list means the same peer whether its ID
// is in lower case, in upper case or in bech32m, and that anything else is refused.
func TestSwitchKnowsAPeerByAnyFormOfItsID(t *testing.T) {
	const idAm = "g12er44f65vdr5cq59mawm7272ku76v5f4g4wu2e" // idA with a bech32m checksum
	for _, form := range []string{idA, strings.ToUpper(idA), idAm, strings.ToUpper(idAm)} {
		cfg := config.TestP2PConfig()
		cfg.PersistentPeers, cfg.Seeds = "tcp://"+form+"@127.0.0.1:26656", form+"@127.0.0.1:26656"
		cfg.PrivatePeerIDs, cfg.UnconditionalPeerIDs = form, form
		cfg.MaxNumInboundPeers = 0
		s, behavior := startSwitch(t, memory.NewNetwork(), cfg)
		d := next(t, s.dials)
		require.Equal(t, peerA, d.addr.String())
		require.True(t, behavior.IsPersistentPeer(idA), form)
		require.True(t, behavior.IsPrivatePeer(idA), form)
		require.NoError(t, admit(behavior, idA, net.IPv4(192, 0, 2, 1), false), form)

		require.NoError(t, s.sw.BlockPeer(types.ID(form)))
		require.Error(t, admit(behavior, idA, net.IPv4(192, 0, 2, 1), false), form)
		require.True(t, s.sw.UnblockPeer(types.ID(form)))
		require.True(t, s.sw.RemovePersistentPeer(types.ID(form)))
		require.False(t, behavior.IsPersistentPeer(idA), form)
	}

	for _, wrong := range []string{"G" + idA[1:], "tcp://" + idA, idA[:20] + " " + idA[20:], idA + "@127.0.0.1:1"} {
		cfg := config.TestP2PConfig()
		cfg.PrivatePeerIDs = wrong
		_, err := cfg.SwitchOptions()
		require.ErrorContains(t, err, "[p2p].private_peer_ids", wrong)
		cfg.PrivatePeerIDs, cfg.PersistentPeers = "", "http://"+idA+"@127.0.0.1:1"
		_, err = cfg.SwitchOptions()
		require.ErrorContains(t, err, "only tcp:// is supported")
	}
}

func TestSwitchKeepsTheLimits(t *testing.T) {
	ip := net.IPv4(192, 0, 2, 1)
	for _, outbound := range []bool{false, true} {
		cfg := config.TestP2PConfig()
		cfg.UnconditionalPeerIDs = idA
		if outbound {
			cfg.MaxNumOutboundPeers = 0
		} else {
			cfg.MaxNumInboundPeers = 0
		}
		_, behavior := startSwitch(t, memory.NewNetwork(), cfg)
		var refusal *compat.RejectError
		require.ErrorAs(t, admit(behavior, idB, ip, outbound), &refusal)
		require.Equal(t, compat.RejectFull, refusal.Code)
		require.NoError(t, admit(behavior, idB, ip, !outbound), "the other limit is not reached")
		require.NoError(t, admit(behavior, idA, ip, outbound), "an unconditional peer")
	}
}

func TestSwitchGuardsAgainstDuplicateIPs(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		network := memory.NewNetwork()
		cfg := config.DefaultP2PConfig()
		cfg.AllowDuplicateIP = allowed
		server, behavior := startSwitch(t, network, cfg)

		client := network.NewTransport(channel)
		options, err := config.TestP2PConfig().SwitchOptions()
		require.NoError(t, err)
		sw := adapter.NewMultiplexSwitch(client, options...)
		up, done := server.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerConnected })
		defer done()
		require.NoError(t, sw.Start())
		addr := server.NetAddress()
		sw.DialPeers(&addr)
		next(t, up)

		err = admit(behavior, types.GenerateNodeKey().ID(), client.NetAddress().IP, false)
		require.Equal(t, allowed, err == nil, "%v", err)
		require.NoError(t, admit(behavior, types.GenerateNodeKey().ID(), net.IPv4(192, 0, 2, 1), false))
		require.NoError(t, sw.Stop())
		require.NoError(t, client.Close())
	}
}

func TestSwitchBlocksPeersAndIPs(t *testing.T) {
	cfg := config.TestP2PConfig()
	cfg.BlockedPeers, cfg.BlockedIPs = idA, "192.0.2.0/24, 2001:db8::1"
	_, behavior := startSwitch(t, memory.NewNetwork(), cfg)
	free := net.IPv4(198, 51, 100, 1)
	require.Error(t, admit(behavior, idA, free, false))
	require.Error(t, admit(behavior, idB, net.IPv4(192, 0, 2, 9), false))
	require.Error(t, admit(behavior, idB, net.ParseIP("2001:db8::1"), true))
	require.NoError(t, admit(behavior, idB, free, false))
}

func TestSwitchOptionsNameEachEntryAtFault(t *testing.T) {
	cfg := config.TestP2PConfig()
	cfg.PersistentPeers = "127.0.0.1:1, " + idB + "@127.0.0.1:0," + peerA + "," + idB + "@0.0.0.0:1"
	cfg.Seeds = "g1nobody@127.0.0.1:1"
	cfg.PrivatePeerIDs = idB + ",p1"
	cfg.UnconditionalPeerIDs = "u1,u2"
	cfg.BlockedPeers = "b1"
	require.NoError(t, cfg.ValidateBasic(), "a node can work without them")

	options, err := cfg.SwitchOptions()
	for _, part := range []string{
		`[p2p].persistent_peers = "127.0.0.1:1": `, `[p2p].persistent_peers = "` + idB + `@127.0.0.1:0": `,
		`[p2p].persistent_peers = "` + idB + `@0.0.0.0:1": `, `[p2p].seeds = "g1nobody@127.0.0.1:1": `,
		`[p2p].private_peer_ids = "p1": `, `[p2p].unconditional_peer_ids = "u1": `, `[p2p].unconditional_peer_ids = "u2": `,
		`[p2p].blocked_peers = "b1": `,
	} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), peerA)
	var bad *config.FieldError
	require.ErrorAs(t, err, &bad)

	// The rest is in force.
	s := newSpy(memory.NewNetwork())
	sw := adapter.NewMultiplexSwitch(s, options...)
	require.NoError(t, sw.Start())
	require.Equal(t, types.ID(idA), next(t, s.dials).addr.ID)
	behavior := next(t, s.behavior)
	require.True(t, behavior.IsPrivatePeer(idB))
	require.False(t, behavior.IsPersistentPeer(idB))
	require.NoError(t, sw.Stop())
	require.NoError(t, s.Close())
}

// Without peer exchange nobody would ask a seed.
func TestSwitchDialsSeedsOnlyToAskThemForPeers(t *testing.T) {
	for _, pex := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config.TestP2PConfig()
			cfg.Seeds, cfg.PeerExchange = peerA, pex
			s, _ := startSwitch(t, memory.NewNetwork(), cfg)
			<-time.After(time.Hour)
			require.Equal(t, pex, len(s.dials) > 0)
			for len(s.dials) > 0 {
				d := <-s.dials
				require.Equal(t, peerA, d.addr.String())
			}
		})
	}
}

func TestListenNetAddress(t *testing.T) {
	id := types.GenerateNodeKey().ID()
	for laddr, want := range map[string]string{
		"tcp://0.0.0.0:26656": "0.0.0.0:26656", ":7": "0.0.0.0:7", "[::1]:0": "[::1]:0", "192.0.2.1:9": "192.0.2.1:9",
	} {
		cfg := config.P2PConfig{ListenAddress: laddr}
		addr, err := cfg.ListenNetAddress(id)
		require.NoError(t, err)
		require.Equal(t, id.String()+"@"+want, addr.String())
	}

	cfg := config.P2PConfig{ListenAddress: "tcp://localhost:26656"}
	addr, err := cfg.ListenNetAddress(id)
	require.NoError(t, err)
	require.True(t, addr.IP.IsLoopback())
	require.Empty(t, addr.Hostname)

	for _, laddr := range []string{"", "0.0.0.0", "udp://0.0.0.0:1", "nowhere.invalid:1"} {
		cfg := config.P2PConfig{ListenAddress: laddr}
		_, err := cfg.ListenNetAddress(id)
		var bad *config.FieldError
		require.ErrorAs(t, err, &bad, laddr)
		require.Equal(t, "[p2p].laddr", bad.Key)
		require.Equal(t, laddr, bad.Value)
	}
}

func TestAdvertisedNetAddress(t *testing.T) {
	id := types.GenerateNodeKey().ID()
	cfg := config.DefaultP2PConfig()
	config.SetInterfaces(t, "127.0.0.1", "10.0.0.2", "fe80::1")
	addr, err := cfg.AdvertisedNetAddress(id)
	require.NoError(t, err)
	require.Equal(t, id.String()+"@0.0.0.0:26656", addr.String())

	require.Contains(t, cfg.UnknownPlace(addr), "no peer can be told where this node is: set [p2p].external_address")
	cfg.PeerExchange = false
	require.Empty(t, cfg.UnknownPlace(addr), "the node does not ask to be found")
	cfg.PeerExchange = true

	cfg.ExternalAddress = "192.0.2.1:7"
	addr, err = cfg.AdvertisedNetAddress(id)
	require.NoError(t, err)
	require.Empty(t, cfg.UnknownPlace(addr))
	require.Equal(t, id.String()+"@192.0.2.1:7", addr.String())

	names := dnstest.Install(t)
	cfg.ExternalAddress = "node.example:7" // does not resolve: the transport tries again
	addr, err = cfg.AdvertisedNetAddress(id)
	require.NoError(t, err)
	require.Equal(t, id.String()+"@0.0.0.0:7", addr.String())
	require.Equal(t, "node.example", addr.Hostname)
	require.Empty(t, cfg.UnknownPlace(addr))
	names.Set("node.example", net.IPv4(5, 6, 7, 8))
	addr, err = cfg.AdvertisedNetAddress(id)
	require.NoError(t, err)
	require.Equal(t, id.String()+"@5.6.7.8:7", addr.String())
	require.Equal(t, "node.example", addr.Hostname)

	cfg.ExternalAddress = "node.example"
	_, err = cfg.AdvertisedNetAddress(id)
	var bad *config.FieldError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "[p2p].external_address", bad.Key)
}

// A wildcard laddr is judged by the interfaces of the machine.
func TestWildcardIsJudgedByInterfaces(t *testing.T) {
	config.SetInterfaces(t, "127.0.0.1", "10.0.0.2", "2a00::1", "5.6.7.8")
	id := types.GenerateNodeKey().ID()
	for laddr, want := range map[string]string{
		"tcp://0.0.0.0:26656": "5.6.7.8:26656", "[::]:1": "5.6.7.8:1", ":2": "5.6.7.8:2", "10.0.0.2:3": "10.0.0.2:3",
	} {
		cfg := config.DefaultP2PConfig()
		cfg.ListenAddress = laddr
		addr, err := cfg.AdvertisedNetAddress(id)
		require.NoError(t, err)
		require.Equal(t, want, addr.DialString())
		require.Empty(t, cfg.UnknownPlace(addr))
	}
	config.SetInterfaces(t, "::1", "2a00::1")
	addr, err := config.DefaultP2PConfig().AdvertisedNetAddress(id)
	require.NoError(t, err)
	require.Equal(t, "[2a00::1]:26656", addr.DialString())
}

func TestSeedModeHangsUp(t *testing.T) {
	for pex, left := range map[bool]int{true: 0, false: 1} {
		synctest.Test(t, func(t *testing.T) {
			network := memory.NewNetwork()
			cfg := config.TestP2PConfig()
			cfg.SeedMode, cfg.PeerExchange = true, pex
			options, err := cfg.SwitchOptions()
			require.NoError(t, err)
			var switches []*adapter.MultiplexSwitch
			var transports []*memory.Transport
			for range 2 {
				transports = append(transports, network.NewTransport(channel))
				switches = append(switches, adapter.NewMultiplexSwitch(transports[len(transports)-1], options...))
				require.NoError(t, switches[len(switches)-1].Start())
			}
			addr := transports[0].NetAddress()
			switches[1].DialPeers(&addr)
			synctest.Wait()
			require.Len(t, switches[1].Peers().List(), 1)
			time.Sleep(adapter.DefaultSeedUptime)
			synctest.Wait()
			require.Len(t, switches[1].Peers().List(), left)
			for i, sw := range switches {
				require.NoError(t, sw.Stop())
				require.NoError(t, transports[i].Close())
			}
		})
	}
}

func TestProxyNetworks(t *testing.T) {
	cfg := config.DefaultP2PConfig()
	networks, err := cfg.ProxyNetworks()
	require.NoError(t, err)
	require.Empty(t, networks)
	cfg.ProxyProtocolNetworks = "10.1.2.3/8, 192.0.2.7,2001:db8::1/32, ::1, ::ffff:192.0.2.8"
	networks, err = cfg.ProxyNetworks()
	require.NoError(t, err)
	var text []string
	for _, network := range networks {
		text = append(text, network.String())
	}
	require.Equal(t, []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128", "192.0.2.8/32"}, text)
}
