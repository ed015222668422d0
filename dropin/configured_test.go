package dropin

import (
	"cmp"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// configuredStack is the switch of NewConfiguredSwitch for a node whose p2p.toml has the
// lines.
func configuredStack(lines ...string) stack {
	return stack{"configured", func(
		t *testing.T, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, opts ...Option,
	) (*Switch, error) {
		t.Helper()
		cfg.RootDir = homeWith(t, map[string]string{ownFile: "[p2p]\n" + strings.Join(lines, "\n")})
		key, info := newIdentity(channelsOf(reactors)...)

		return NewConfiguredSwitch(info, key, cfg, reactors, nil, opts...)
	}}
}

// TestConfiguredSwitchHasTheStack checks which switch each choice makes, and that it is what
// the operator wanted: whom it accepts and whom it dials.
func TestConfiguredSwitchHasTheStack(t *testing.T) {
	for _, c := range []struct{ stack, dial, made string }{
		{"native", "native", "native"}, {"libp2p", "libp2p", "libp2p"},
		{"dual", "auto", "dual"}, {"native", "auto", "dual"}, {"libp2p", "native-first", "dual"}, {"dual", "native", "dual"},
	} {
		t.Run(c.stack+" "+c.dial, func(t *testing.T) {
			lines := []string{`stack = "` + c.stack + `"`, `dial = "` + c.dial + `"`}
			sw := newSwitchWith(t, configuredStack(lines...), loopbackConfig(), nil)
			require.Contains(t, sw.String(), c.made)
			switch tr := sw.transport.(type) {
			case *native.MultiplexTransport:
				require.Equal(t, "native", c.made)
			case *lp2p.Transport:
				require.Equal(t, "libp2p", c.made)
			case *dual.Transport:
				require.Equal(t, "dual", c.made)
				require.Equal(t, c.stack != "native", len(tr.Libp2p().Host().Network().ListenAddresses()) > 0)
			}
		})
	}
}

// TestConfiguredSwitchDialsAsToldTo connects a configured node to a node with both stacks.
func TestConfiguredSwitchDialsAsToldTo(t *testing.T) {
	for dial, want := range map[string]types.Stack{
		"auto": types.StackLibp2p, "native-first": types.StackNative, "libp2p-first": types.StackLibp2p,
		"native": types.StackNative, "libp2p": types.StackLibp2p,
	} {
		requireDialOn(t, dualStack(), want, `dial = "`+dial+`"`)
	}
}

// TestLibp2pNodeStillDialsNative checks that a node that accepts no native peer dials those
// that are left, as docs/migration.md says of step 3.
func TestLibp2pNodeStillDialsNative(t *testing.T) {
	requireDialOn(t, stacks()[0], types.StackNative, `stack = "libp2p"`, `dial = "auto"`)
}

// requireDialOn checks on which stack a node whose p2p.toml has the lines dials a node of the other
// kind.
func requireDialOn(t *testing.T, other stack, want types.Stack, lines ...string) {
	t.Helper()
	ra, rb := newGnoRecorder("r", testChannel), newGnoRecorder("r", testChannel)
	b := newSwitchWith(t, other, loopbackConfig(), map[string]p2p.Reactor{"R": rb})
	a := newSwitchWith(t, configuredStack(lines...), loopbackConfig(b.NetAddress()), map[string]p2p.Reactor{"R": ra})
	require.NoError(t, b.Start())
	t.Log(lines)
	startOnStack(t, a, want, ra, rb)
}

func TestConfiguredSwitchHasQUICAndDHT(t *testing.T) {
	cfg := loopbackConfig()
	cfg.PeerExchange = true
	sw := newSwitchWith(t, configuredStack("quic = true", "dht = true"), cfg, map[string]p2p.Reactor{"R": newGnoRecorder("r", testChannel)})
	require.NoError(t, sw.Start())
	addr := sw.NetAddress()
	_, err := net.ListenPacket("udp", addr.DialString())
	require.Error(t, err, "QUIC has the port")
	require.True(t, slices.ContainsFunc(sw.transport.(*dual.Transport).Libp2p().Host().Mux().Protocols(), isDHT))

	sw = newSwitchWith(t, configuredStack(), cfg, map[string]p2p.Reactor{"R": newGnoRecorder("r", testChannel)})
	require.NoError(t, sw.Start())
	addr = sw.NetAddress()
	socket, err := net.ListenPacket("udp", addr.DialString())
	require.NoError(t, err)
	require.NoError(t, socket.Close())
	require.False(t, slices.ContainsFunc(sw.transport.(*dual.Transport).Libp2p().Host().Mux().Protocols(), isDHT))
}

// TestConfiguredSwitchKnowsItsPeers admits an unconditional peer to a full node, and refuses a
// blocked one.
func TestConfiguredSwitchKnowsItsPeers(t *testing.T) {
	cfg := loopbackConfig()
	cfg.MaxNumInboundPeers = 0
	welcome, _ := newIdentity(testChannel)
	blocked, _ := newIdentity(testChannel)
	r := newGnoRecorder("r", testChannel)
	sw := newSwitchWith(t, configuredStack(
		`unconditional_peer_ids = "`+string(welcome.ID())+","+string(blocked.ID())+`"`, `blocked_peers = "`+string(blocked.ID())+`"`,
	), cfg, map[string]p2p.Reactor{"R": r})
	require.NoError(t, sw.Start())
	require.Equal(t, []types.ID{types.ID(blocked.ID())}, sw.MultiplexSwitch().BlockedPeers())
	_, info := newIdentity(testChannel)
	info.NetAddress.ID = welcome.ID()
	peer, err := NewDualSwitch(info, welcome, loopbackConfig(sw.NetAddress()), nil, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, peer.Close()) })
	require.NoError(t, peer.Start())
	require.Equal(t, welcome.ID(), await(t, r.added).ID())
}

// TestProxyProtocolNetworks dials each switch through a proxy, whose header names the client.
func TestProxyProtocolNetworks(t *testing.T) {
	for _, stack := range []string{"native", "libp2p", "dual"} {
		for _, dialer := range stacks()[:2] {
			if stack != "dual" && stack != dialer.name {
				continue
			}
			dial := map[string]string{"native": "native", "libp2p": "libp2p", "dual": "auto"}[stack]
			r := newGnoRecorder("r", testChannel)
			sw := newSwitchWith(t, configuredStack(`stack = "`+stack+`"`, `dial = "`+dial+`"`, `proxy_protocol_networks = "127.0.0.1"`),
				loopbackConfig(), map[string]p2p.Reactor{"R": r})
			require.NoError(t, sw.Start())
			at := sw.NetAddress()
			at.Port = startProxy(t, at.DialString(), "PROXY TCP4 203.0.113.7 127.0.0.1 4711 26656\r\n")
			require.NoError(t, newSwitchWith(t, dialer, loopbackConfig(at), nil).Start())
			require.Equal(t, "203.0.113.7", await(t, r.added).RemoteIP().String(), stack)
		}
	}
}

// TestConfiguredSwitchErrors checks that nothing is left of a switch that cannot be made.
func TestConfiguredSwitchErrors(t *testing.T) {
	_, err := configuredStack(`stack = "both"`).make(t, loopbackConfig(), nil)
	require.ErrorContains(t, err, "p2p.toml")
	key, info := newIdentity(testChannel)
	_, err = NewConfiguredSwitch(info, key, nil, nil, nil)
	require.ErrorIs(t, err, errNoConfig)
	other, _ := newIdentity(testChannel)
	_, err = NewConfiguredSwitch(info, other, loopbackConfig(), nil, nil)
	require.ErrorIs(t, err, errOtherID)

	t.Setenv("TM2_P2P_STACK", "native")
	t.Setenv("TM2_P2P_DIAL", "native")
	var log strings.Builder
	sw, err := NewConfiguredSwitch(info, key, loopbackConfig(), nil, slog.New(slog.NewTextHandler(&log, nil)), WithDHT())
	require.NoError(t, err)
	require.NoError(t, sw.Close())
	require.Contains(t, log.String(), "the DHT and other options of libp2p have no effect")
	for _, keys := range [][2]string{{"", "noise"}, {"true", "noise"}, {"false", "tls"}} {
		t.Setenv("TM2_P2P_QUIC", cmp.Or(keys[0], "false"))
		t.Setenv("TM2_P2P_LIBP2P_SECURITY", keys[1])
		var log strings.Builder
		sw, err := NewConfiguredSwitch(info, key, loopbackConfig(), nil, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		require.NoError(t, sw.Close())
		require.Equal(t, keys[0] == "true", strings.Contains(log.String(), "[p2p].quic has no effect"), log.String())
		require.Equal(t, keys[1] == "tls", strings.Contains(log.String(), "[p2p].libp2p_security has no effect"), log.String())
		require.NotContains(t, log.String(), "options of libp2p")
	}
}
