package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// fileOfTM2 is what a node of gno v1.7.1 writes for its defaults.
const fileOfTM2 = "testdata/gno-v1.7.1.toml"

// ours are the keys that TM2 v1.7.1 does not have.
var ours = []string{
	"seed_mode", "unconditional_peer_ids", "dial_timeout", "proxy_protocol_networks", "blocked_peers", "blocked_ips",
	"stack", "dial", "quic", "libp2p_security", "tunnel_bridges", "tunnel_peer_ids", "dht",
}

// keys are the keys of the struct, in order.
func keys() []string {
	var names []string
	for i := range reflect.TypeFor[config.P2PConfig]().NumField() {
		names = append(names, reflect.TypeFor[config.P2PConfig]().Field(i).Tag.Get("toml"))
	}

	return names
}

func TestDefaultsAreThoseOfTM2(t *testing.T) {
	cfg, warnings, err := config.LoadFile(fileOfTM2)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, config.DefaultP2PConfig(), cfg)

	var file struct{ P2P map[string]any }
	data, err := os.ReadFile(fileOfTM2)
	require.NoError(t, err)
	require.NoError(t, toml.Unmarshal(data, &file))
	var expected []string
	for name := range file.P2P {
		expected = append(expected, name)
	}
	require.ElementsMatch(t, append(expected, ours...), keys())
}

func TestDefaultsAreValid(t *testing.T) {
	for _, cfg := range []*config.P2PConfig{config.DefaultP2PConfig(), config.TestP2PConfig()} {
		require.NoError(t, cfg.ValidateBasic())
	}
	require.Equal(t, mconn.DefaultMConnConfig(), config.DefaultP2PConfig().MConnConfig())
	require.True(t, config.TestP2PConfig().AllowDuplicateIP)
	require.Equal(t, 10*time.Millisecond, config.TestP2PConfig().FlushThrottleTimeout)
	require.NotSame(t, config.DefaultP2PConfig(), config.DefaultP2PConfig())
}

// everyKey has a value for each key that is not its default.
const everyKey = `
home = "/srv/node"
laddr = "tcp://127.0.0.1:1"
external_address = "node.example:2"
seeds = "s"
persistent_peers = "p"
max_num_inbound_peers = 3
max_num_outbound_peers = 4
flush_throttle_timeout = "5ms"
max_packet_msg_payload_size = 6
send_rate = 7
recv_rate = 8
recv_assembly_timeout = "9s"
max_recv_buffer_bytes = 10000000
max_send_buffer_bytes = 11000000
pex = true
seed_mode = true
private_peer_ids = "q"
allow_duplicate_ip = true
addr_book_file = "book.json"
unconditional_peer_ids = "u"
dial_timeout = "9s"
proxy_protocol_networks = "10.0.0.0/8"
blocked_peers = "b"
blocked_ips = "9.8.7.0/24"
stack = "libp2p"
dial = "libp2p"
quic = true
libp2p_security = "tls"
tunnel_bridges = "` + peerA + `"
tunnel_peer_ids = "` + idA + `"
dht = true
`

func TestEveryKeyIsRead(t *testing.T) {
	got, warnings, err := config.Parse([]byte("[p2p]" + everyKey))
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, &config.P2PConfig{
		RootDir: "/srv/node", ListenAddress: "tcp://127.0.0.1:1", ExternalAddress: "node.example:2",
		Seeds: "s", PersistentPeers: "p", MaxNumInboundPeers: 3, MaxNumOutboundPeers: 4,
		FlushThrottleTimeout: 5 * time.Millisecond, MaxPacketMsgPayloadSize: 6, SendRate: 7, RecvRate: 8,
		RecvAssemblyTimeout: 9 * time.Second, MaxRecvBufferBytes: 10_000_000, MaxSendBufferBytes: 11_000_000,
		PeerExchange: true, SeedMode: true, PrivatePeerIDs: "q", AllowDuplicateIP: true, AddrBook: "book.json",
		UnconditionalPeerIDs: "u", DialTimeout: 9 * time.Second,
		ProxyProtocolNetworks: "10.0.0.0/8", BlockedPeers: "b", BlockedIPs: "9.8.7.0/24",
		Stack: "libp2p", Dial: "libp2p", QUIC: true, Libp2pSecurity: "tls", TunnelBridges: peerA, TunnelPeerIDs: idA, DHT: true,
	}, got)
	for _, name := range keys() {
		require.Contains(t, everyKey, "\n"+name+" = ")
	}

	m := got.MConnConfig()
	require.NoError(t, m.Validate())
	want := mconn.DefaultMConnConfig()
	want.FlushThrottle, want.MaxPacketMsgPayloadSize, want.SendRate, want.RecvRate = 5*time.Millisecond, 6, 7, 8
	want.RecvAssemblyTimeout, want.MaxRecvBufferBytes, want.MaxSendBufferBytes = 9*time.Second, 10_000_000, 11_000_000
	require.Equal(t, want, m)
}

func TestJSONHasTheSameNames(t *testing.T) {
	data, err := json.Marshal(config.DefaultP2PConfig())
	require.NoError(t, err)
	var object map[string]any
	require.NoError(t, json.Unmarshal(data, &object))
	var names []string
	for name := range object {
		names = append(names, name)
	}
	require.ElementsMatch(t, keys(), names)

	var back config.P2PConfig
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, config.DefaultP2PConfig(), &back)
}

func TestOtherSectionsAreIgnored(t *testing.T) {
	cfg, warnings, err := config.Parse([]byte("moniker = 3\n[rpc]\nladdr = 7\n[p3p]\npex = 1"))
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, config.DefaultP2PConfig(), cfg)
}

func TestKeysWithoutEffectAreReported(t *testing.T) {
	cfg, warnings, err := config.Parse([]byte("[p2p]\nupnp = true\nsend_rate = 9\nhandshake_timeout = \"20s\"\n[p2p.test_fuzz_config]\nMode = 0"))
	require.NoError(t, err)
	require.EqualValues(t, 9, cfg.SendRate)
	require.Len(t, warnings, 3)
	for i, name := range []string{"handshake_timeout", "test_fuzz_config", "upnp"} {
		require.Regexp(t, `^\[p2p\]\.`+name+` has no effect: \S`, warnings[i])
	}

	_, warnings, err = config.Parse([]byte("[p2p]\nseeds = \"" + peerA + "\"\npex = false\nseed_mode = true\ndht = true"))
	require.NoError(t, err)
	require.Len(t, warnings, 3)
	require.Regexp(t, `^\[p2p\]\.seeds has no effect: \S`, warnings[0])
	require.Regexp(t, `^\[p2p\]\.seed_mode has no effect: \S`, warnings[1])
	require.Regexp(t, `^\[p2p\]\.dht has no effect: \S`, warnings[2])

	_, warnings, err = config.Parse([]byte("[p2p]\ndial_timeout = \"10001ms\""))
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Regexp(t, `^\[p2p\]\.dial_timeout = 10\.001s waits no longer for a slow peer than 10s: \S`, warnings[0])

	_, warnings, err = config.Parse([]byte("[p2p]\npersistent_peers = \"" + peerA + "," + peerB + "," + strings.ToUpper(idA) + "@127.0.0.1:2\""))
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Regexp(t, `^\[p2p\]\.persistent_peers: "`+strings.ToUpper(idA)+`@127.0.0.1:2" replaces an earlier entry`, warnings[0])
}

// Keys of libp2p have no effect on a node without it, and tunnels none on a node that has native
// connections itself.
func TestKeysOfAnotherStackHaveNoEffect(t *testing.T) {
	const ofLibp2p = "quic = true\nlibp2p_security = \"tls\"\ndht = true\n"
	for _, c := range []struct {
		stack, dial, keys string
		idle              []string
	}{
		{"native", "native", ofLibp2p, []string{"dht", "quic", "libp2p_security"}},
		{"native", "native", "quic = false\nlibp2p_security = \"noise\"\n", nil},
		{"native", "auto", ofLibp2p, nil},
		{"dual", "native", ofLibp2p, nil},
		{"libp2p", "libp2p", "tunnel_bridges = \"" + peerA + "\"\n", nil},
		{"libp2p", "auto", "tunnel_bridges = \"" + peerA + "\"\n", []string{"tunnel_bridges"}},
		{"dual", "libp2p", "tunnel_bridges = \"" + peerA + "\"\n", []string{"tunnel_bridges"}},
	} {
		_, warnings, err := config.Parse([]byte("[p2p]\nstack = \"" + c.stack + "\"\ndial = \"" + c.dial + "\"\n" + c.keys))
		require.NoError(t, err)
		require.Len(t, warnings, len(c.idle), "%+v", c)
		for i, key := range c.idle {
			require.Regexp(t, `^\[p2p\]\.`+key+` has no effect: \S`, warnings[i])
		}
	}
}

func TestBlockedPeersHaveNoEffect(t *testing.T) {
	for _, key := range []string{"persistent_peers", "seeds"} {
		_, warnings, err := config.Parse([]byte("[p2p]\n" + key + " = \"" + peerA + "," + peerB + "\"\nblocked_peers = \"nobody," + strings.ToUpper(idA) + "\""))
		require.NoError(t, err)
		require.Equal(t, []string{"[p2p]." + key + `: "` + peerA + `" has no effect, because the ID is in [p2p].blocked_peers`}, warnings)
	}
}

func TestBadValueNamesItsKey(t *testing.T) {
	for _, tc := range []struct{ line, key, value string }{
		{`laddr = ""`, "laddr", `""`},
		{`laddr = "udp://0.0.0.0:1"`, "laddr", `"udp://0.0.0.0:1"`},
		{`laddr = "0.0.0.0"`, "laddr", `"0.0.0.0"`},
		{`laddr = "0.0.0.0:65536"`, "laddr", `"65536" is not a port`},
		{`laddr = 26656`, "laddr", "26656"},
		{`external_address = "node.example"`, "external_address", `"node.example"`},
		{`external_address = ":26656"`, "external_address", "no host"},
		{`external_address = "192.0.2.1:0"`, "external_address", "port 0"},
		{`max_num_inbound_peers = -1`, "max_num_inbound_peers", "-1"},
		{`max_num_outbound_peers = "10"`, "max_num_outbound_peers", `"10"`},
		{`flush_throttle_timeout = 100`, "flush_throttle_timeout", "100"},
		{`flush_throttle_timeout = "-1s"`, "flush_throttle_timeout", `"-1s"`},
		{`flush_throttle_timeout = "60001ms"`, "flush_throttle_timeout", `"1m0.001s"`},
		{`max_packet_msg_payload_size = 0`, "max_packet_msg_payload_size", "0"},
		{`max_packet_msg_payload_size = 1048577`, "max_packet_msg_payload_size", "1048577"},
		{`send_rate = -1`, "send_rate", "-1"},
		{`recv_rate = -1`, "recv_rate", "-1"},
		{`recv_assembly_timeout = "-1ns"`, "recv_assembly_timeout", `"-1ns"`},
		{`max_recv_buffer_bytes = 8454143`, "max_recv_buffer_bytes", "8454143"},
		{`max_recv_buffer_bytes = -1`, "max_recv_buffer_bytes", "-1"},
		{`max_send_buffer_bytes = 1`, "max_send_buffer_bytes", "1"},
		{`pex = "yes"`, "pex", `"yes"`},
		{`seed_mode = 1`, "seed_mode", "1"},
		{`allow_duplicate_ip = 1`, "allow_duplicate_ip", "1"},
		{`private_peer_ids = ["a"]`, "private_peer_ids", "[a]"},
		{`unconditional_peer_ids = 5`, "unconditional_peer_ids", "5"},
		{`blocked_peers = 5`, "blocked_peers", "5"},
		{`stack = ""`, "stack", `"native", "dual", "libp2p"`},
		{`stack = "Dual"`, "stack", `"Dual"`},
		{`stack = true`, "stack", "true"},
		{`dial = "dual"`, "dial", `"auto", "native-first", "libp2p-first", "native", "libp2p"`},
		{`quic = "on"`, "quic", `"on"`},
		{`libp2p_security = "TLS"`, "libp2p_security", `"noise", "tls"`},
		{`tunnel_bridges = 1`, "tunnel_bridges", "1"},
		{`tunnel_bridges = "bridge.example:36656"`, "tunnel_bridges", `"bridge.example:36656": it must be ID@host:port`},
		{`tunnel_bridges = "` + idA + `@192.0.2.1:0"`, "tunnel_bridges", "port 0"},
		{`tunnel_bridges = "` + peerA + `, ` + idA + `@127.0.0.1:5"`, "tunnel_bridges", "another entry has the same ID"},
		{`tunnel_peer_ids = "` + idA + `, ` + peerA + `"`, "tunnel_peer_ids", "it is not a TM2 ID"},
		{`dht = 1`, "dht", "1"},
		{`dial_timeout = "0s"`, "dial_timeout", `"0s"`},
		{`proxy_protocol_networks = "10.0.0.1, proxy.example"`, "proxy_protocol_networks", `"proxy.example"`},
		{`blocked_ips = "9.8.7.6/24, evil.example"`, "blocked_ips", `"evil.example"`},
		{`proxy_protocol_networks = "10.0.0.0/33"`, "proxy_protocol_networks", `"10.0.0.0/33"`},
		{`proxy_protocol_networks = "::ffff:10.0.0.0/104"`, "proxy_protocol_networks", `"::ffff:10.0.0.0/104"`},
	} {
		t.Run(tc.line, func(t *testing.T) {
			_, _, err := config.Parse([]byte("[p2p]\n" + tc.line))
			var bad *config.FieldError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, "[p2p]."+tc.key, bad.Key)
			require.NotEmpty(t, bad.Reason)
			require.ErrorContains(t, err, "[p2p]."+tc.key+" = ")
			require.ErrorContains(t, err, tc.value)
		})
	}

	_, _, err := config.Parse([]byte("p2p = 3"))
	var bad *config.FieldError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "p2p", bad.Key)
}

// The ends of the ranges are valid, for connections too.
func TestLimitsAreInclusive(t *testing.T) {
	for _, lines := range []string{
		`flush_throttle_timeout = "0s"` + "\n" + `recv_assembly_timeout = "0s"` + "\nmax_packet_msg_payload_size = 1\nsend_rate = 0\n" +
			"recv_rate = 0\nmax_recv_buffer_bytes = 0\nmax_send_buffer_bytes = 0\nmax_num_inbound_peers = 0\n" + `dial_timeout = "1ns"`,
		`flush_throttle_timeout = "1m"` + "\nmax_packet_msg_payload_size = 1048576\nmax_recv_buffer_bytes = 8454144\nmax_send_buffer_bytes = 8454144",
	} {
		cfg, _, err := config.Parse([]byte("[p2p]\n" + lines))
		require.NoError(t, err)
		require.NoError(t, cfg.MConnConfig().Validate())
	}
}

func TestLoadFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	_, _, err := config.LoadFile(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path)

	require.NoError(t, os.WriteFile(path, []byte("[p2p]\nladdr = \n"), 0o600))
	_, _, err = config.LoadFile(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "line 2")

	require.NoError(t, os.WriteFile(path, []byte("[p2p]\nsend_rate = -1"), 0o600))
	_, _, err = config.LoadFile(path)
	require.ErrorContains(t, err, path)
	var bad *config.FieldError
	require.ErrorAs(t, err, &bad)

	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#", 1<<20+1)), 0o600))
	_, _, err = config.LoadFile(path)
	require.ErrorContains(t, err, "longer than")
}

func TestAddrBookFile(t *testing.T) {
	absolute := filepath.Join(t.TempDir(), "book.json")
	for _, tc := range []struct{ root, book, want string }{
		{"home", "", filepath.Join("home", "config", "addrbook.json")},
		{"home", "book.json", filepath.Join("home", "book.json")},
		{"home", absolute, absolute},
		{"", "book.json", "book.json"},
	} {
		cfg := config.P2PConfig{RootDir: tc.root, AddrBook: tc.book}
		require.Equal(t, tc.want, cfg.AddrBookFile())
	}
}
