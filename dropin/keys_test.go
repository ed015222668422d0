package dropin

import (
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// pair is two nodes, of which a is to connect to b.
type pair struct {
	stack    // of a
	a, b     *gnoRecorder
	swA, swB *Switch
	events   <-chan events.Event // of a
}

// newPair starts two nodes of one stack. The functions change their configs; at is the address of b.
func newPair(t *testing.T, s stack, configA func(cfg *gnoconfig.P2PConfig, at string), configB func(*gnoconfig.P2PConfig)) *pair {
	t.Helper()

	return newPairOf(t, s, s, configA, configB)
}

// newPairOf is newPair for a node of one stack and one of another.
func newPairOf(
	t *testing.T, s, other stack, configA func(cfg *gnoconfig.P2PConfig, at string), configB func(*gnoconfig.P2PConfig),
) *pair {
	t.Helper()
	p := &pair{stack: s, a: newGnoRecorder("a", testChannel), b: newGnoRecorder("b", testChannel)}
	for _, r := range []*gnoRecorder{p.a, p.b} {
		r.queue, r.received = bulk, make(chan gnoDelivery, 2*bulk)
	}
	newSwitch := newSwitchWith
	if s.name == other.name {
		newSwitch = newPatientSwitch
	}
	cfgB := loopbackConfig()
	configB(cfgB)
	p.swB = newSwitch(t, other, cfgB, map[string]p2p.Reactor{"R": p.b})
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
	for late := 0; ; {
		switch event := await(t, p.events).(type) {
		case events.DialFailedEvent:
			if compat.ClassifyDial(event.Reason) == compat.DialTimedOut { // on a busy machine
				late++
				require.Less(t, late, 5, "%v", event.Reason)
				p.swA.DialPeers(&at)

				continue
			}
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

// TestEveryKeyHasAnEffect walks every key of gno's section [p2p] and shows what it does to the switch
// that is built for each stack, or that the node says at start that it does nothing.
func TestEveryKeyHasAnEffect(t *testing.T) {
	effects := map[string]func(t *testing.T, s stack){
		"home":                        hasHome,
		"addr_book_file":              keepsBook,
		"laddr":                       listens,
		"external_address":            advertises,
		"seeds":                       asksSeeds,
		"pex":                         needsPEX,
		"persistent_peers":            persists,
		"private_peer_ids":            hides,
		"max_num_inbound_peers":       refusesInbound,
		"max_num_outbound_peers":      dialsNobody,
		"allow_duplicate_ip":          refusesDuplicateIP,
		"recv_assembly_timeout":       givesUpMessages,
		"flush_throttle_timeout":      ofConnections(func(cfg *gnoconfig.P2PConfig) { cfg.FlushThrottleTimeout++ }, nil),
		"max_packet_msg_payload_size": ofConnections(largerPackets, requireLargerPackets),
		"send_rate":                   stalls(func(cfg *gnoconfig.P2PConfig) { cfg.SendRate = 1 }, true),
		"recv_rate":                   stalls(func(cfg *gnoconfig.P2PConfig) { cfg.RecvRate = 1 }, false),
		"max_recv_buffer_bytes": ofConnections(
			func(cfg *gnoconfig.P2PConfig) { cfg.MaxRecvBufferBytes = config.MinBufferBytes }, requireNoRoom),
		"max_send_buffer_bytes": ofConnections(
			func(cfg *gnoconfig.P2PConfig) { cfg.MaxSendBufferBytes = config.MinBufferBytes }, requireNotSent),
	}
	section := reflect.TypeFor[gnoconfig.P2PConfig]()
	require.Len(t, effects, section.NumField())
	for i := range section.NumField() {
		key := section.Field(i).Tag.Get("toml")
		require.Contains(t, effects, key)
		t.Run(key, func(t *testing.T) { onEachStack(t, effects[key]) })
	}
}

// hasHome shows that the home directory is where a node has its own file and a DHT its address book.
func hasHome(t *testing.T, s stack) {
	require.Contains(t, newSwitchWith(t, configuredAs(s), loopbackConfig(), nil).String(), s.name, "it has read p2p.toml there")
	if s.name == "native" { // which has no DHT
		require.Empty(t, bookFiles(t, s, unchanged))

		return
	}
	require.Equal(t, []string{"config/addrbook.libp2p.json"}, bookFiles(t, s, unchanged))
	require.Empty(t, bookFiles(t, s, func(cfg *gnoconfig.P2PConfig) { cfg.RootDir = "" }))
}

// keepsBook shows where a DHT has its address book. The native stack has no DHT and leaves the key
// to the discovery reactor, which gno makes with it.
func keepsBook(t *testing.T, s stack) {
	elsewhere := func(cfg *gnoconfig.P2PConfig) { cfg.AddrBook = "data/book.json" }
	if s.name == "native" {
		require.Empty(t, bookFiles(t, s, elsewhere))

		return
	}
	require.Equal(t, []string{"data/book.libp2p.json"}, bookFiles(t, s, elsewhere))
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

func asksSeeds(t *testing.T, s stack) {
	inEachForm(t, func(t *testing.T, write func(at string) string) {
		p := newPair(t, s, func(cfg *gnoconfig.P2PConfig, at string) { cfg.Seeds, cfg.PeerExchange = write(at), true }, unchanged)
		require.False(t, await(t, p.a.added).IsPersistent())
	})
	cfg := loopbackConfig()
	cfg.Seeds, cfg.PeerExchange = stacktest.MixedCase(someID)+"@127.0.0.1:1", true
	require.Contains(t, warnings(t, s, cfg), "[p2p].seeds = ")
}

// needsPEX shows that a seed is dialed if pex is true, and that the node says if it is not.
func needsPEX(t *testing.T, s stack) {
	p := newPair(t, s, func(cfg *gnoconfig.P2PConfig, at string) { cfg.Seeds, cfg.PeerExchange = at, true }, unchanged)
	require.False(t, await(t, p.a.added).IsPersistent())

	cfg := loopbackConfig()
	at := p.swB.NetAddress()
	cfg.Seeds = at.String()
	require.Contains(t, warnings(t, s, cfg), "[p2p].seeds has no effect: ")
}

func persists(t *testing.T, s stack) {
	inEachForm(t, func(t *testing.T, write func(at string) string) {
		p := newPair(t, s, func(cfg *gnoconfig.P2PConfig, at string) { cfg.PersistentPeers = write(at) }, unchanged)
		require.True(t, await(t, p.a.added).IsPersistent())
	})
	cfg := loopbackConfig()
	cfg.PersistentPeers = stacktest.MixedCase(someID) + "@127.0.0.1:1"
	require.Contains(t, warnings(t, s, cfg), "[p2p].persistent_peers = ")
}

func hides(t *testing.T, s stack) {
	inEachForm(t, func(t *testing.T, write func(at string) string) {
		p := newPair(t, s, func(cfg *gnoconfig.P2PConfig, at string) {
			id, _, _ := strings.Cut(at, "@")
			cfg.PersistentPeers, cfg.PrivatePeerIDs = at, write(id)
		}, unchanged)
		require.True(t, await(t, p.a.added).IsPrivate())
		require.False(t, await(t, p.b.added).IsPrivate())
	})
	cfg := loopbackConfig()
	cfg.PrivatePeerIDs = stacktest.MixedCase(someID)
	require.Contains(t, warnings(t, s, cfg), "[p2p].private_peer_ids = ")
}

// inEachForm runs a test for each text that names the same peer. Function write puts it in the place
// of an ID that stands alone or before an address.
func inEachForm(t *testing.T, test func(t *testing.T, write func(at string) string)) {
	t.Helper()
	for i, form := range stacktest.IDForms(t, someID) {
		t.Run("as "+form, func(t *testing.T) {
			test(t, func(at string) string {
				id, _, _ := strings.Cut(at, "@")

				return stacktest.IDForms(t, id)[i] + at[len(id):]
			})
		})
	}
}

func refusesInbound(t *testing.T, s stack) {
	p := newPair(t, s, func(*gnoconfig.P2PConfig, string) {}, func(cfg *gnoconfig.P2PConfig) { cfg.MaxNumInboundPeers = 0 })
	p.requireRefused(t)
}

func dialsNobody(t *testing.T, s stack) {
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
}

func refusesDuplicateIP(t *testing.T, s stack) {
	p := newPair(t, s, persistent, func(cfg *gnoconfig.P2PConfig) { cfg.AllowDuplicateIP = false })
	await(t, p.b.added)
	second := newPair(t, s, func(*gnoconfig.P2PConfig, string) {}, unchanged)
	second.b, second.swB = p.b, p.swB
	second.requireRefused(t)
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
