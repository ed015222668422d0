package dropin

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// pair is two nodes of one stack, of which a is to connect to b.
type pair struct {
	stack
	a, b     *gnoRecorder
	swA, swB *Switch
	events   <-chan events.Event // of a
}

// newPair starts two nodes. The functions change their configs; at is the address of b.
func newPair(t *testing.T, s stack, configA func(cfg *gnoconfig.P2PConfig, at string), configB func(*gnoconfig.P2PConfig)) *pair {
	t.Helper()
	p := &pair{stack: s, a: newGnoRecorder("a", testChannel), b: newGnoRecorder("b", testChannel)}
	cfgB := loopbackConfig()
	configB(cfgB)
	p.swB = newSwitchWith(t, s, cfgB, map[string]p2p.Reactor{"R": p.b})
	cfgA := loopbackConfig()
	at := p.swB.NetAddress()
	configA(cfgA, at.String())
	p.swA = newSwitchWith(t, s, cfgA, map[string]p2p.Reactor{"R": p.a})
	var unsubscribe func()
	p.events, unsubscribe = p.swA.MultiplexSwitch().Subscribe(func(events.Event) bool { return true })
	t.Cleanup(unsubscribe)
	require.NoError(t, p.swB.Start())
	require.NoError(t, p.swA.Start())

	return p
}

func persistent(cfg *gnoconfig.P2PConfig, at string) { cfg.PersistentPeers = at }

func unchanged(*gnoconfig.P2PConfig) {}

// requireRefused makes a dial b, which refuses a. Only libp2p tells the reason.
func (p *pair) requireRefused(t *testing.T) {
	t.Helper()
	at := p.swB.NetAddress()
	p.swA.DialPeers(&at)
	for {
		switch event := await(t, p.events).(type) {
		case events.DialFailedEvent:
			var refusal *compat.RejectError
			if p.name != "native" {
				require.ErrorAs(t, event.Reason, &refusal)
				require.Equal(t, compat.RejectFull, refusal.Code)
			}
		case events.PeerDisconnectedEvent: // a native node may hear of it after its handshake
			require.Equal(t, "native", p.name)
		default:
			continue
		}
		require.Empty(t, p.b.added)

		return
	}
}

// TestEveryKeyHasAnEffect walks every key of gno's section [p2p] and shows over each stack
// what it does, or that the node says at start that it does nothing.
func TestEveryKeyHasAnEffect(t *testing.T) {
	effects := map[string]func(t *testing.T, s stack){
		"home":             addrBookOnly,
		"addr_book_file":   addrBookOnly,
		"laddr":            listens,
		"external_address": advertises,
		"seeds":            asksSeeds,
		"pex":              asksSeeds,
		"persistent_peers": func(t *testing.T, s stack) {
			p := newPair(t, s, persistent, unchanged)
			require.True(t, await(t, p.a.added).IsPersistent())
		},
		"private_peer_ids": func(t *testing.T, s stack) {
			p := newPair(t, s, func(cfg *gnoconfig.P2PConfig, at string) {
				id, _, _ := strings.Cut(at, "@")
				cfg.PersistentPeers, cfg.PrivatePeerIDs = at, strings.ToUpper(id)
			}, unchanged)
			require.True(t, await(t, p.a.added).IsPrivate())
			require.False(t, await(t, p.b.added).IsPrivate())
		},
		"max_num_inbound_peers": func(t *testing.T, s stack) {
			p := newPair(t, s, func(*gnoconfig.P2PConfig, string) {}, func(cfg *gnoconfig.P2PConfig) { cfg.MaxNumInboundPeers = 0 })
			p.requireRefused(t)
		},
		"max_num_outbound_peers": func(t *testing.T, s stack) {
			cfg := loopbackConfig()
			cfg.MaxNumOutboundPeers = 0
			r := newGnoRecorder("r", testChannel)
			full := newSwitchWith(t, s, cfg, map[string]p2p.Reactor{"R": r})
			require.NoError(t, full.Start())
			other := newSwitchWith(t, s, loopbackConfig(full.NetAddress()), map[string]p2p.Reactor{"R": newGnoRecorder("o", testChannel)})
			at := other.NetAddress()
			full.DialPeers(&at)
			require.NoError(t, other.Start())
			require.False(t, await(t, r.added).IsOutbound(), "the other node has dialed")
			require.Zero(t, full.Peers().NumOutbound())
		},
		"allow_duplicate_ip": func(t *testing.T, s stack) {
			p := newPair(t, s, persistent, func(cfg *gnoconfig.P2PConfig) { cfg.AllowDuplicateIP = false })
			await(t, p.b.added)
			second := newPair(t, s, func(*gnoconfig.P2PConfig, string) {}, unchanged)
			second.b, second.swB = p.b, p.swB
			second.requireRefused(t)
		},
		"recv_assembly_timeout": func(t *testing.T, s stack) {
			cfg := loopbackConfig()
			cfg.RecvAssemblyTimeout = 7 * time.Second
			if s.name != "libp2p" {
				require.Equal(t, cfg.RecvAssemblyTimeout, mconnConfig(cfg).RecvAssemblyTimeout)
			}
			if s.name == "native" {
				return
			}
			require.Equal(t, cfg.RecvAssemblyTimeout, libp2pTimeouts(FromP2PConfig(*cfg)).Assembly)
			cfg.RecvAssemblyTimeout = 0
			require.Contains(t, warnings(t, s, cfg), "[p2p].recv_assembly_timeout = 0 means a default over libp2p")
		},
		"flush_throttle_timeout": ofConnections(func(cfg *gnoconfig.P2PConfig) { cfg.FlushThrottleTimeout++ }),
		"max_packet_msg_payload_size": func(t *testing.T, s stack) {
			ofConnections(func(cfg *gnoconfig.P2PConfig) { cfg.MaxPacketMsgPayloadSize++ })(t, s)
			if s.name == "native" {
				requireLargerPackets(t, s)
			}
		},
		"send_rate":             rateOf(func(cfg *gnoconfig.P2PConfig, rate int64) { cfg.SendRate = rate }, "send rate -7"),
		"recv_rate":             rateOf(func(cfg *gnoconfig.P2PConfig, rate int64) { cfg.RecvRate = rate }, "receive rate -7"),
		"max_recv_buffer_bytes": ofConnections(func(cfg *gnoconfig.P2PConfig) { cfg.MaxRecvBufferBytes++ }),
		"max_send_buffer_bytes": ofConnections(func(cfg *gnoconfig.P2PConfig) { cfg.MaxSendBufferBytes++ }),
	}
	section := reflect.TypeFor[gnoconfig.P2PConfig]()
	require.Len(t, effects, section.NumField())
	for i := range section.NumField() {
		key := section.Field(i).Tag.Get("toml")
		require.Contains(t, effects, key)
		t.Run(key, func(t *testing.T) { onEachStack(t, effects[key]) })
	}
}

// addrBookOnly shows that the key leads to the address book, which no switch reads.
func addrBookOnly(t *testing.T, _ stack) {
	cfg := loopbackConfig()
	cfg.RootDir, cfg.AddrBook = "home", "book.json"
	ours := FromP2PConfig(*cfg)
	require.Equal(t, filepath.Join("home", "book.json"), ours.AddrBookFile())
}

func listens(t *testing.T, s stack) {
	cfg := loopbackConfig()
	cfg.ListenAddress = "tcp://127.0.0.2:0"
	addr := newSwitchWith(t, s, cfg, nil).NetAddress()
	require.Equal(t, "127.0.0.2", addr.IP.String())
	requireDialed(t, addr.DialString())
}

func advertises(t *testing.T, s stack) {
	p := newPair(t, s, persistent, func(cfg *gnoconfig.P2PConfig) { cfg.ExternalAddress = "192.0.2.7:1234" })
	require.Equal(t, "192.0.2.7:1234", await(t, p.a.added).NodeInfo().NetAddress.DialString())

	cfg := loopbackConfig()
	cfg.ExternalAddress, cfg.PeerExchange = "0.0.0.0:1234", true
	require.Contains(t, warnings(t, s, cfg), "no peer can be told where this node is: set [p2p].external_address")
	cfg.ExternalAddress = "192.0.2.7:1234"
	require.NotContains(t, warnings(t, s, cfg), "no peer can be told")
}

// asksSeeds shows that a seed is dialed if pex is true, and that the node says if it is not.
func asksSeeds(t *testing.T, s stack) {
	p := newPair(t, s, func(cfg *gnoconfig.P2PConfig, at string) { cfg.Seeds, cfg.PeerExchange = at, true }, unchanged)
	require.False(t, await(t, p.a.added).IsPersistent())

	cfg := loopbackConfig()
	at := p.swB.NetAddress()
	cfg.Seeds = at.String()
	require.Contains(t, warnings(t, s, cfg), "[p2p].seeds has no effect: ")
}

// ofConnections shows that a change reaches native connections, and that the node says that
// it has no effect over libp2p.
func ofConnections(change func(*gnoconfig.P2PConfig)) func(*testing.T, stack) {
	return func(t *testing.T, s stack) {
		cfg := loopbackConfig()
		quiet := warnings(t, s, cfg)
		require.Empty(t, quiet)
		change(cfg)
		if s.name != "libp2p" {
			require.NotEqual(t, mconn.DefaultMConnConfig(), mconnConfig(cfg))
			require.Empty(t, warnings(t, s, cfg))

			return
		}
		require.Equal(t, 1, strings.Count(warnings(t, s, cfg), " has no effect over libp2p"))
	}
}

// rateOf shows that a rate reaches the connections of each stack: over libp2p by one that the
// transport refuses.
func rateOf(set func(*gnoconfig.P2PConfig, int64), refused string) func(*testing.T, stack) {
	return func(t *testing.T, s stack) {
		cfg := loopbackConfig()
		set(cfg, 7)
		require.Empty(t, warnings(t, s, cfg))
		if s.name == "native" {
			require.NotEqual(t, mconn.DefaultMConnConfig(), mconnConfig(cfg))

			return
		}
		set(cfg, -7)
		key, info := newIdentity(testChannel)
		_, err := lp2p.NewTransport(FromNodeInfo(info), FromNodeKey(key), nil, libp2pLimits(FromP2PConfig(*cfg))...)
		require.ErrorIs(t, err, compat.ErrInvalidOption)
		require.ErrorContains(t, err, refused)
	}
}

// requireLargerPackets shows that a native switch uses the limits of its config: a node with
// the default drops one that sends larger packets.
func requireLargerPackets(t *testing.T, s stack) {
	t.Helper()
	p := newPair(t, s, func(cfg *gnoconfig.P2PConfig, at string) {
		persistent(cfg, at)
		cfg.MaxPacketMsgPayloadSize *= 2
	}, unchanged)
	a := await(t, p.a.added)
	b := await(t, p.b.added)
	require.True(t, a.Send(testChannel, make([]byte, 2*gnoconfig.DefaultP2PConfig().MaxPacketMsgPayloadSize)))
	require.Equal(t, b, await(t, p.b.removed))
	require.Empty(t, p.b.received)
}

func mconnConfig(cfg *gnoconfig.P2PConfig) mconn.MConnConfig {
	ours := FromP2PConfig(*cfg)

	return ours.MConnConfig()
}

// warnings returns what a node with the config warns of when it is made.
func warnings(t *testing.T, s stack, cfg *gnoconfig.P2PConfig) string {
	t.Helper()
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	key, info := newIdentity(testChannel)
	var sw *Switch
	var err error
	switch s.name {
	case "native":
		sw, err = NewNativeSwitch(info, key, cfg, nil, logger)
	case "libp2p":
		sw, err = NewLibp2pSwitch(info, key, cfg, nil, logger)
	default:
		sw, err = NewDualSwitch(info, key, cfg, nil, logger)
	}
	require.NoError(t, err)
	require.NoError(t, sw.Close())

	return log.String()
}

// TestPageSaysWhatIsIdle checks that the page gives the reasons of the warnings.
func TestPageSaysWhatIsIdle(t *testing.T) {
	data, err := os.ReadFile("../docs/dropin.md")
	require.NoError(t, err)
	for _, idle := range idleOverLibp2p {
		listed := false
		for line := range strings.Lines(string(data)) {
			listed = listed || strings.HasPrefix(line, "| ") && strings.Contains(line, "`"+idle.key+"`") &&
				strings.Contains(line, "no meaning: "+idle.reason)
		}
		require.True(t, listed, idle.key)
	}
}
