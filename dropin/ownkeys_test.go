package dropin

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// dials names the [p2p].dial that goes with a stack.
var dials = map[string]string{"native": "native", "libp2p": "libp2p", "dual": "auto"}

// configuredAs is configuredStack with the keys of a stack.
func configuredAs(s stack, lines ...string) stack {
	return configuredStack(append(lines, `stack = "`+s.name+`"`, `dial = "`+dials[s.name]+`"`)...)
}

// TestEveryOwnKeyHasAnEffect walks every key of [p2p] that gno does not have and shows what it does
// on the stacks that it is for. Some keys have a test of their own.
func TestEveryOwnKeyHasAnEffect(t *testing.T) {
	elsewhere := map[string]func(*testing.T){
		"stack": TestConfiguredSwitchHasTheStack, "dial": TestConfiguredSwitchDialsAsToldTo,
		"quic": TestConfiguredSwitchHasQUICAndDHT, "dht": TestConfiguredSwitchHasQUICAndDHT,
		"proxy_protocol_networks": TestProxyProtocolNetworks,
	}
	effects := map[string]func(*testing.T, stack){
		"blocked_peers": func(t *testing.T, s stack) {
			inEachForm(t, func(t *testing.T, write func(string) string) {
				requireRefuses(t, s, func(id string) string { return `blocked_peers = "` + write(id) + `"` })
			})
		},
		"blocked_ips": func(t *testing.T, s stack) {
			requireRefuses(t, s, func(string) string { return `blocked_ips = "127.0.0.0/8"` })
		},
		"libp2p_security": proposesTLS, "tunnel_bridges": hasTunnels, "tunnel_peer_ids": hasTunnels,
		"dial_timeout": givesUp, "unconditional_peer_ids": welcomes, "seed_mode": isSeed,
	}
	require.Len(t, ownKeys, len(elsewhere)+len(effects))
	for _, key := range ownKeys {
		if elsewhere[key] != nil {
			continue
		}
		require.Contains(t, effects, key)
		t.Run(key, func(t *testing.T) { onEachStack(t, effects[key]) })
	}
}

// requireRefuses shows that a node with the line refuses the one with the ID for what it names,
// however often that one dials.
func requireRefuses(t *testing.T, s stack, line func(id string) string) {
	t.Helper()
	other, r, log := newSwitchWith(t, s, loopbackConfig(), nil), newGnoRecorder("r", testChannel), &stacktest.Log{}
	cfg := loopbackConfig()
	cfg.RootDir = homeWith(t, map[string]string{ownFile: "[p2p]\nstack = \"" + s.name + "\"\ndial = \"" + dials[s.name] + "\"\n" +
		line(string(other.NetAddress().ID))})
	key, info := newIdentity(testChannel)
	sw, err := NewConfiguredSwitch(info, key, cfg, map[string]p2p.Reactor{"R": r}, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	require.NoError(t, sw.Start())
	require.NoError(t, other.Start())
	at := sw.NetAddress()
	require.NoError(t, other.MultiplexSwitch().AddPersistentPeer(*FromNetAddress(&at)))
	require.Eventually(t, func() bool { return log.Count("(blocked_peers, blocked_ips)") > 0 }, patience, time.Millisecond)
	require.Empty(t, r.added)
}

// welcomes shows that a node that is full admits a peer that the key names, in any form of its ID.
func welcomes(t *testing.T, s stack) {
	inEachForm(t, func(t *testing.T, write func(string) string) {
		other, r := newSwitchWith(t, s, loopbackConfig(), nil), newGnoRecorder("r", testChannel)
		at := other.NetAddress()
		cfg := loopbackConfig()
		cfg.MaxNumInboundPeers = 0
		full := newSwitchWith(t, configuredAs(s, `unconditional_peer_ids = "`+write(string(at.ID))+`"`), cfg, map[string]p2p.Reactor{"R": r})
		require.NoError(t, full.Start())
		require.NoError(t, other.Start())
		fullAt := full.NetAddress()
		require.NoError(t, other.MultiplexSwitch().AddPersistentPeer(*FromNetAddress(&fullAt)))
		require.Equal(t, at.ID, await(t, r.added).ID())
	})
}

// isSeed shows that the switch is built as a seed, which hangs up after a minute as
// TestSeedHangsUp shows. A program cannot ask for it, so the test looks into the switch.
func isSeed(t *testing.T, s stack) {
	uptime := func(pex bool, lines ...string) time.Duration {
		cfg := loopbackConfig()
		cfg.PeerExchange = pex
		sw := newSwitchWith(t, configuredAs(s, lines...), cfg, nil)

		return time.Duration(reflect.ValueOf(sw.mux).Elem().FieldByName("seedUptime").Int())
	}
	require.Equal(t, adapter.DefaultSeedUptime, uptime(true, "seed_mode = true"))
	require.Zero(t, uptime(true))
	require.Zero(t, uptime(false, "seed_mode = true"), "nobody would ask it for peers")
}

// TestSeedHangsUp shows what seed_mode does to the switch of a node whose p2p.toml has it: over a
// transport in memory, where the minute of a seed passes at once.
func TestSeedHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		cfg := loopbackConfig()
		cfg.RootDir, cfg.PeerExchange = homeWith(t, map[string]string{ownFile: "[p2p]\nseed_mode = true"}), true
		r := newGnoRecorder("r", testChannel)
		p, o, err := newConfiguredPlan(cfg, map[string]p2p.Reactor{"R": r}, nil, newOptions(nil))
		require.NoError(t, err)
		tr := &inMemory{Transport: network.NewTransport(testChannel)}
		seed := newSwitch("memory", tr, tr, p, o.sw)
		require.NoError(t, seed.Start())
		other, _ := newMemorySwitch(t, network, loopbackConfig(), newGnoRecorder("other", testChannel))
		require.NoError(t, other.Start())
		at := seed.NetAddress()
		other.DialPeers(&at)
		peer := <-r.added
		begun := time.Now()
		require.Equal(t, peer, <-r.removed)
		require.Equal(t, adapter.DefaultSeedUptime, time.Since(begun))
		require.NoError(t, other.Close())
		require.NoError(t, seed.Close())
	})
}

func proposesTLS(t *testing.T, s stack) {
	if s.name == "native" {
		t.Skip("a native node warns that the key has no effect (TestConfiguredSwitchErrors)")
	}
	other, r := newSwitchWith(t, stacks()[1], loopbackConfig(), nil), newGnoRecorder("r", testChannel)
	require.NoError(t, other.Start())
	sw := newSwitchWith(t, configuredAs(s, `libp2p_security = "tls"`), loopbackConfig(other.NetAddress()), map[string]p2p.Reactor{"R": r})
	require.NoError(t, sw.Start())
	await(t, r.added)
	tr, ok := sw.transport.(*lp2p.Transport)
	if !ok {
		tr = sw.transport.(*dual.Transport).Libp2p()
	}
	require.True(t, slices.ContainsFunc(tr.Host().Network().Conns(), func(c libp2pnet.Conn) bool {
		return c.ConnState().Security == "/tls/1.0.0"
	}))
}

// hasTunnels shows that a libp2p node has a native peer, in whatever form the IDs are.
func hasTunnels(t *testing.T, s stack) {
	if s.name != "libp2p" {
		t.Skip("with other stacks the keys are an error (TestTunnelsNeedLibp2pAlone)")
	}
	inEachForm(t, func(t *testing.T, write func(string) string) {
		far := newSwitchWith(t, stacks()[0], loopbackConfig(), nil)
		require.NoError(t, far.Start())
		at, r := far.NetAddress(), newGnoRecorder("r", testChannel)
		key, info := newIdentity(testChannel)
		bridgeAt := startBridge(t, far, types.ID(key.ID())).Libp2pAddress()
		cfg := loopbackConfig(at)
		cfg.RootDir = homeWith(t, map[string]string{ownFile: "[p2p]\nstack = \"libp2p\"\ndial = \"libp2p\"\ntunnel_bridges = \"" +
			write(bridgeAt.String()) + "\"\ntunnel_peer_ids = \"" + write(string(at.ID)) + "\""})
		sw, err := NewConfiguredSwitch(info, key, cfg, map[string]p2p.Reactor{"R": r}, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, sw.Close()) })
		require.NoError(t, sw.Start())
		require.Equal(t, at.ID, await(t, r.added).ID())
		require.Equal(t, bridgeAt.ID, sw.MultiplexSwitch().Links()[0].Tunnel)
	})
}

// givesUp shows that a dial of a node that answers has no more time than the key says, and that
// the node says if the stacks give up before that.
func givesUp(t *testing.T, s stack) {
	other := newSwitchWith(t, s, loopbackConfig(), nil)
	require.NoError(t, other.Start())
	at := other.NetAddress()
	sw := newSwitchWith(t, configuredAs(s, `dial_timeout = "1ns"`), loopbackConfig(), nil)
	failed, unsubscribe := sw.MultiplexSwitch().Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer unsubscribe()
	require.NoError(t, sw.Start())
	sw.DialPeers(&at)
	require.ErrorIs(t, await(t, failed).(events.DialFailedEvent).Reason, context.DeadlineExceeded)

	_, log, err := configured(t, homeWith(t, map[string]string{ownFile: "[p2p]\ndial_timeout = \"1m0s\""}))
	require.NoError(t, err)
	require.Contains(t, log, "[p2p].dial_timeout = 1m0s waits no longer for a slow peer than 10s")
	timeouts := lp2p.DefaultTimeouts()
	require.Contains(t, log, native.DialTimeout.String()+" (native) or "+timeouts.Dial.String()+" (libp2p) to connect")
	require.Equal(t, timeouts.Handshake, native.HandshakeTimeout)
	require.Contains(t, log, timeouts.Handshake.String()+" for each step of the handshakes")
	_, log, err = configured(t, homeWith(t, nil))
	require.NoError(t, err)
	require.NotContains(t, log, "dial_timeout")
}
