package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	peerA = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@127.0.0.1:26656"
	peerB = "g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q@[::1]:26657"
)

func TestMarshalRoundTrip(t *testing.T) {
	want := config.Default()
	want.P2P.ListenAddress = "127.0.0.1:1234"
	want.P2P.PersistentPeers = peerA + "," + peerB
	want.P2P.PrivatePeerIDs = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	want.P2P.UnconditionalPeerIDs = "g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q"
	want.P2P.FlushThrottleTimeout = 1500 * time.Microsecond
	want.P2P.MaxPacketMsgPayloadSize = 4096
	want.P2P.SendRate = 1 << 40
	want.P2P.RecvRate = 0
	want.P2P.RecvAssemblyTimeout = 0
	want.P2P.MaxRecvBufferBytes = 0
	want.P2P.MaxSendBufferBytes = 9 << 20
	want.Bridge.Libp2pListenAddress = "tcp://[::1]:0"
	want.Bridge.Libp2pPeers = peerB
	want.Bridge.Libp2pNetwork, want.Bridge.Libp2pQUIC = "chain/1", true
	want.Bridge.MaxPairs = 3
	want.HTTP.ListenAddress, want.HTTP.Hosts, want.HTTP.Pprof = "", "a.example, b.example", true
	want.Log.Level, want.Log.Format = "debug", config.FormatJSON

	data, err := want.Marshal()
	require.NoError(t, err)
	got, warnings, err := config.Parse(data)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, want, got)
}

func TestMarshalCommentsEveryKey(t *testing.T) {
	data, err := config.Default().Marshal()
	require.NoError(t, err)

	lines := strings.Split(string(data), "\n")
	keyLine := regexp.MustCompile(`^(\w+ = |\[)`)
	var written int
	for i, line := range lines {
		if keyLine.MatchString(line) {
			written++
			require.Greater(t, i, 0)
			require.Regexp(t, `^# \S`, lines[i-1], line)
		}
	}
	require.Equal(t, 33, written)

	got, warnings, err := config.Parse(data)
	require.NoError(t, err)
	require.Empty(t, warnings, "a key without an effect was written")
	require.Equal(t, config.Default(), got)
}

func TestParseEmptyGivesDefaults(t *testing.T) {
	got, warnings, err := config.Parse(nil)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, config.Default(), got)
}

func TestLoadConfigOfNodes(t *testing.T) {
	for _, tc := range []struct {
		file     string
		warnings []string // the keys, each once
		check    func(*config.Config)
	}{
		{
			file:     "gno-v1.7.1.toml",
			warnings: []string{"addr_book_file", "max_num_inbound_peers", "max_num_outbound_peers", "pex"},
			check: func(cfg *config.Config) {
				require.Equal(t, config.Default(), cfg)
			},
		},
		{
			file: "gno-test5.toml",
			warnings: []string{"dial_timeout", "handshake_timeout", "max_num_inbound_peers",
				"max_num_outbound_peers", "pex", "test_fuzz_config"},
			check: func(cfg *config.Config) {
				require.Equal(t, 10*time.Millisecond, cfg.P2P.FlushThrottleTimeout)
				require.Contains(t, cfg.P2P.PersistentPeers, "sentry.example:26656")
			},
		},
	} {
		t.Run(tc.file, func(t *testing.T) {
			cfg, warnings, err := config.Load(filepath.Join("testdata", tc.file))
			require.NoError(t, err)
			tc.check(cfg)
			require.Len(t, warnings, len(tc.warnings), warnings)
			for i, name := range tc.warnings {
				require.Regexp(t, `^\[p2p\]\.`+name+` has no effect: \S`, warnings[i])
			}
		})
	}
}

func TestQuietValuesCauseNoWarning(t *testing.T) {
	_, warnings, err := config.Parse([]byte("[p2p]\nseeds = \"\"\nupnp = false\nexternal_address = \"\""))
	require.NoError(t, err)
	require.Empty(t, warnings)

	_, warnings, err = config.Parse([]byte("[p2p]\nseeds = \"" + peerA + "\""))
	require.NoError(t, err)
	require.Len(t, warnings, 1)
}

func TestUnknownSectionIsReported(t *testing.T) {
	_, _, err := config.Parse([]byte("moniker = \"x\"\n[rpc]\nladdr = 7\n[brigde]\nmax_pairs = 3"))
	require.EqualError(t, err, `brigde = "...": there is no such section; did you mean "bridge"?`)
}

func TestBadValueNamesItsField(t *testing.T) {
	for _, tc := range []struct{ toml, key, value string }{
		{"[p2p]\nladdr = \"udp://0.0.0.0:1\"", "[p2p].laddr", `"udp://0.0.0.0:1"`},
		{"[p2p]\nladdr = \"0.0.0.0\"", "[p2p].laddr", `"0.0.0.0"`},
		{"[p2p]\nladdr = \"example.org:1\"", "[p2p].laddr", `"example.org" is not an IP`},
		{"[p2p]\nladdr = \"0.0.0.0:65536\"", "[p2p].laddr", `"65536" is not a port`},
		{"[p2p]\nladdr = 26656", "[p2p].laddr", "26656"},
		{"[p2p]\npersistent_peers = \"127.0.0.1:26656\"", "[p2p].persistent_peers", `"127.0.0.1:26656"`},
		{"[p2p]\npersistent_peers = \"" + peerA + ", g1nobody@127.0.0.1:1\"", "[p2p].persistent_peers", `"g1nobody@127.0.0.1:1"`},
		{"[p2p]\npersistent_peers = \"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@127.0.0.1:0\"", "[p2p].persistent_peers", "port 0"},
		{"[p2p]\nprivate_peer_ids = \"g1nobody\"", "[p2p].private_peer_ids", `"g1nobody"`},
		{"[p2p]\nunconditional_peer_ids = \"" + peerA + "\"", "[p2p].unconditional_peer_ids", peerA},
		{"[p2p]\nflush_throttle_timeout = 100", "[p2p].flush_throttle_timeout", "100"},
		{"[p2p]\nflush_throttle_timeout = \"100\"", "[p2p].flush_throttle_timeout", `"100"`},
		{"[p2p]\nflush_throttle_timeout = \"-1s\"", "[p2p].flush_throttle_timeout", `"-1s"`},
		{"[p2p]\nflush_throttle_timeout = \"2h\"", "[p2p].flush_throttle_timeout", `"2h0m0s"`},
		{"[p2p]\nmax_packet_msg_payload_size = 0", "[p2p].max_packet_msg_payload_size", "0"},
		{"[p2p]\nmax_packet_msg_payload_size = 1048577", "[p2p].max_packet_msg_payload_size", "1048577"},
		{"[p2p]\nsend_rate = -1", "[p2p].send_rate", "-1"},
		{"[p2p]\nsend_rate = 1.5", "[p2p].send_rate", "1.5"},
		{"[p2p]\nrecv_rate = -5", "[p2p].recv_rate", "-5"},
		{"[p2p]\nrecv_rate = \"5\"", "[p2p].recv_rate", `"5"`},
		{"[p2p]\nrecv_assembly_timeout = \"-1ns\"", "[p2p].recv_assembly_timeout", `"-1ns"`},
		{"[p2p]\nmax_recv_buffer_bytes = 8454143", "[p2p].max_recv_buffer_bytes", "8454143"},
		{"[p2p]\nmax_send_buffer_bytes = -1", "[p2p].max_send_buffer_bytes", "-1"},
		{"[p2p]\npex = \"yes\"", "[p2p].pex", `"yes"`},
		{"[p2p]\nmax_num_inbound_peers = true", "[p2p].max_num_inbound_peers", "true"},
		{"[p2p]\nproxy_protocol_networks = \"proxy.example\"", "[p2p].proxy_protocol_networks", `"proxy.example"`},
		{"[p2p]\nno_such_key = 1", "[p2p].no_such_key", "there is no such key"},
		{"[p2p]\nlibp2p_laddr = \"\"", "[p2p].libp2p_laddr", "there is no such key"},
		{"[bridge]\nladdr = \"\"", "[bridge].laddr", "there is no such key"},
		{"[bridge]\npex = true", "[bridge].pex", "there is no such key"},
		{"[p2p]\npersistant_peers = \"\"", "[p2p].persistant_peers", `did you mean "persistent_peers"?`},
		{"[p2p]\nmax_pairs = 3", "[p2p].max_pairs", "there is one below [bridge]"},
		{"max_pairs = 3", "max_pairs", "it belongs below [bridge]"},
		{"nothing = 3", "nothing", "there is no such key"},
		{"[http]\nladdr = \"0.0.0.0:26656\"", "[http].laddr", "it is the port of [p2p].laddr"},
		{"[http]\nladdr = \"localhost:1\"", "[http].laddr", "is not an IP"},
		{"[log]\nlevel = \"loud\"", "[log].level", "debug, info, warn or error"},
		{"[log]\nformat = \"xml\"", "[log].format", "text or json"},
		{"[bridge]\nlibp2p_laddr = \":port\"", "[bridge].libp2p_laddr", `"port"`},
		{"[bridge]\nlibp2p_laddr = \"0.0.0.0:26656\"", "[bridge].libp2p_laddr", "[p2p].laddr"},
		{"[bridge]\nlibp2p_peers = \"x@y:1\"", "[bridge].libp2p_peers", `"x@y:1"`},
		{"[bridge]\nlibp2p_peers = \"" + peerA + "," + peerA + "\"", "[bridge].libp2p_peers", "another entry"},
		{"[p2p]\npersistent_peers = \"" + peerA + "," + peerA + "\"", "[p2p].persistent_peers", "another entry"},
		{"[bridge]\nlibp2p_network = \"" + strings.Repeat("/", 43) + "\"", "[bridge].libp2p_network", "128 bytes"},
		{"[bridge]\nlibp2p_network = \"n\"\nonly_configured = true", "[bridge].libp2p_network", "must be empty when only_configured is true"},
		{"[bridge]\nlibp2p_quic = \"yes\"", "[bridge].libp2p_quic", `"yes"`},
		{"[bridge]\nonly_configured = 1", "[bridge].only_configured", "1"},
		{"[bridge]\nidentities = 0", "[bridge].identities", "0"},
		{"[bridge]\nidentities = 17", "[bridge].identities", "17"},
		{"[bridge]\nidentities = 2\n[p2p]\nladdr = \"0.0.0.0:65535\"", "[bridge].identities", "2"},
		{"[bridge]\nidentities = 2\nlibp2p_laddr = \"0.0.0.0:26657\"", "[bridge].libp2p_laddr", "a further identity"},
		{"[bridge]\nlibp2p_laddr = \"127.0.0.1:26656\"", "[bridge].libp2p_laddr", "it is the port of [p2p].laddr"},
		{"[bridge]\nidentities = 2\n[http]\nladdr = \"127.0.0.1:26657\"", "[http].laddr", "a further identity"},
		{"[bridge]\ntunnels = \"g1nobody=1\"", "[bridge].tunnels", "g1nobody"},
		{"[bridge]\ntunnels = \"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m\"", "[bridge].tunnels", "ID=port"},
		{"[bridge]\ntunnels = \"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m=0\"", "[bridge].tunnels", "ID=port"},
		{"[bridge]\ntunnels = \"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m=1,g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m=2\"", "[bridge].tunnels", "another entry"},
		{"[bridge]\nidentities = 2\ntunnels = \"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m=26657\"", "[bridge].tunnels", "[p2p].laddr"},
		{"[bridge]\ntunnels = \"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m=36656\"", "[bridge].tunnels", "[bridge].libp2p_laddr"},
		{"[bridge]\ntunnels = \"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m=36660\"", "[bridge].tunnels", "[http].laddr"},
		{"[bridge]\nmax_pairs = 0", "[bridge].max_pairs", "0"},
		{"[bridge]\nmax_pairs_per_ip = -1", "[bridge].max_pairs_per_ip", "-1"},
		{"[bridge]\nmax_pairs = \"many\"", "[bridge].max_pairs", `"many"`},
		{"p2p = 3", "p2p", "section"},
	} {
		t.Run(tc.toml, func(t *testing.T) {
			_, _, err := config.Parse([]byte(tc.toml))
			var bad *config.FieldError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, tc.key, bad.Key)
			require.Contains(t, err.Error(), tc.key)
			require.Contains(t, err.Error(), tc.value)
		})
	}
}

func TestSyntaxErrorNamesFileAndLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(path, []byte("[p2p]\nladdr = \n"), 0o600))
	_, _, err := config.Load(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "line 2")
}

func TestLoadRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "config.toml")
	_, _, err := config.Load(missing)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, missing)

	require.NoError(t, os.WriteFile(missing, []byte("#"+strings.Repeat("x", 1<<20)), 0o600))
	_, _, err = config.Load(missing)
	require.ErrorContains(t, err, "longer than")
}

func TestForBridge(t *testing.T) {
	cfg := config.Default()
	cfg.P2P.ListenAddress = "tcp://:7"
	cfg.P2P.PersistentPeers = " " + peerA + ", ," + peerB
	cfg.P2P.PrivatePeerIDs = "g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q"
	cfg.P2P.UnconditionalPeerIDs = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	cfg.Bridge.Libp2pPeers = peerB
	require.NoError(t, cfg.Validate())

	id := types.GenerateNodeKey().ID()
	got, err := cfg.ForBridge(id)
	require.NoError(t, err)
	require.Equal(t, string(id)+"@0.0.0.0:7", got.NativeListen.String())
	require.Equal(t, string(id)+"@0.0.0.0:36656", got.Libp2pListen.String())
	require.Len(t, got.NativePeers, 2)
	require.Equal(t, peerA, got.NativePeers[0].String())
	require.Equal(t, peerB, got.NativePeers[1].String())
	require.Len(t, got.Libp2pPeers, 1)
	require.Equal(t, []types.ID{"g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q"}, got.PrivatePeers)
	require.Equal(t, []types.ID{"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"}, got.UnconditionalPeers)
}

// TestIDsMayHaveAnyForm checks that the bridge knows a peer whatever the case of its ID.
func TestIDsMayHaveAnyForm(t *testing.T) {
	const id = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	upper := strings.ToUpper(id)
	cfg := config.Default()
	cfg.P2P.PersistentPeers, cfg.Bridge.Libp2pPeers = upper+"@127.0.0.1:26656", upper+"@127.0.0.1:36656"
	cfg.P2P.PrivatePeerIDs, cfg.P2P.UnconditionalPeerIDs = upper, upper
	require.NoError(t, cfg.Validate())
	got, err := cfg.ForBridge(types.GenerateNodeKey().ID())
	require.NoError(t, err)
	require.EqualValues(t, id, got.NativePeers[0].ID)
	require.EqualValues(t, id, got.Libp2pPeers[0].ID)
	require.Equal(t, []types.ID{id}, got.PrivatePeers)
	require.Equal(t, []types.ID{id}, got.UnconditionalPeers)

	cfg.P2P.PersistentPeers += "," + peerA
	require.ErrorContains(t, cfg.Validate(), "another entry has the same ID")
}

func TestTunnelsShareNoPort(t *testing.T) {
	cfg := config.Default()
	cfg.Bridge.Tunnels = fmt.Sprintf("%s=26700,%s=026700", types.GenerateNodeKey().ID(), types.GenerateNodeKey().ID())
	require.ErrorContains(t, cfg.Validate(), "another entry has the same ID or port")
}

func TestMConnConfigTakesEveryKey(t *testing.T) {
	cfg := config.Default()
	cfg.P2P.FlushThrottleTimeout = 7 * time.Millisecond
	cfg.P2P.MaxPacketMsgPayloadSize = 1000
	cfg.P2P.SendRate, cfg.P2P.RecvRate = 11, 12
	cfg.P2P.RecvAssemblyTimeout = 13 * time.Second
	cfg.P2P.MaxRecvBufferBytes, cfg.P2P.MaxSendBufferBytes = 14<<20, 15<<20

	m := cfg.P2P.MConnConfig()
	require.NoError(t, m.Validate())
	require.Equal(t, 7*time.Millisecond, m.FlushThrottle)
	require.Equal(t, 1000, m.MaxPacketMsgPayloadSize)
	require.EqualValues(t, 11, m.SendRate)
	require.EqualValues(t, 12, m.RecvRate)
	require.Equal(t, 13*time.Second, m.RecvAssemblyTimeout)
	require.Equal(t, 14<<20, m.MaxRecvBufferBytes)
	require.Equal(t, 15<<20, m.MaxSendBufferBytes)
}

func TestMarshalQuotesAnyString(t *testing.T) {
	for _, s := range []string{`a"b`, `c:\d`, "line\nbreak", "ü", "'", `'"'`} {
		want := config.Default()
		want.P2P.ListenAddress = s
		data, err := want.Marshal()
		require.NoError(t, err)
		_, _, err = config.Parse(data)
		var bad *config.FieldError
		require.ErrorAs(t, err, &bad, "the string %q was not read back", s)
		require.Equal(t, s, bad.Value)
	}
}

func TestForBridgeKeepsAHostThatDoesNotResolve(t *testing.T) {
	cfg := config.Default()
	cfg.P2P.PersistentPeers = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@localhost:26656"
	cfg.Bridge.Libp2pPeers = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@nowhere.invalid:26656," + peerB
	require.NoError(t, cfg.Validate())
	got, err := cfg.ForBridge(types.GenerateNodeKey().ID())
	require.NoError(t, err)
	require.Len(t, got.NativePeers, 1)
	require.True(t, got.NativePeers[0].IP.IsLoopback())
	require.Equal(t, "localhost", got.NativePeers[0].Hostname)
	require.Len(t, got.Libp2pPeers, 2)
	require.Nil(t, got.Libp2pPeers[0].IP)
	require.Equal(t, "nowhere.invalid", got.Libp2pPeers[0].Hostname)
	require.Equal(t, peerB, got.Libp2pPeers[1].String())
}
