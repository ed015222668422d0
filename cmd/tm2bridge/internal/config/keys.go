package config

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// Full names of the keys that hold addresses and IDs.
const (
	keyNativeListen       = "[p2p].laddr"
	keyNativePeers        = "[p2p].persistent_peers"
	keyPrivatePeers       = "[p2p].private_peer_ids"
	keyUnconditionalPeers = "[p2p].unconditional_peer_ids"
	keyBlockedPeers       = "[p2p].blocked_peers"
	keyLibp2pListen       = "[bridge].libp2p_laddr"
	keyLibp2pPeers        = "[bridge].libp2p_peers"
	keyLibp2pNetwork      = "[bridge].libp2p_network"
	keyTunnels            = "[bridge].tunnels"
	keyHTTPListen         = "[http].laddr"
)

// key is a key of config.toml that has an effect.
type key struct {
	section string
	name    string
	comment string // Marshal writes it above the key
}

func (k key) String() string { return tomlvalue.FullName(k.section, k.name) }

// field returns a pointer to the field that the key sets.
func (k key) field(c *Config) any {
	return tomlvalue.Fields(map[string]any{"p2p": &c.P2P, "bridge": &c.Bridge, "http": &c.HTTP, "log": &c.Log}[k.section])[k.name]
}

// fields returns pointers to the fields of a section's keys that have an effect.
func (c *Config) fields(section string) map[string]any {
	fields := make(map[string]any)
	for _, k := range keys {
		if k.section == section {
			fields[k.name] = k.field(c)
		}
	}

	return fields
}

// keys lists the keys that have an effect, in the order in which Marshal writes them.
var keys = []key{
	{"p2p", "laddr", "Where native peers dial the bridge: IP and TCP port."},
	{"p2p", "persistent_peers", "Native peers that the bridge may dial on behalf of libp2p peers,\n" +
		"comma separated: ID@host:port"},
	{"p2p", "private_peer_ids", "IDs of peers that the bridge never tells others about, comma separated."},
	{"p2p", "unconditional_peer_ids", "IDs of native peers that may always dial the bridge, comma separated: they count\n" +
		"neither in max_pairs nor in max_pairs_per_ip."},
	{"p2p", "blocked_peers", "IDs of peers of either side that get no pair and are not dialed, comma separated."},
	{"p2p", "blocked_ips", "Networks or IPs from which no peer of either side gets a pair, comma separated."},
	{"p2p", "allow_duplicate_ip", "Let peers at one IP address (IPv6: one /64) have several pairs with one target."},
	{"p2p", "proxy_protocol_networks", "Networks or IPs of the proxies in front of laddr, libp2p_laddr and the ports of tunnels,\n" +
		"comma separated. Each TCP connection from there must begin with a PROXY protocol header,\n" +
		"which names the peer's address."},
	{"p2p", "flush_throttle_timeout", "Longest time that packets for a native peer wait to be written together."},
	{"p2p", "max_packet_msg_payload_size", "Largest piece of a message in one packet to a native peer, in bytes.\n" +
		"Peers with the default setting cut off a sender that uses more than 1024."},
	{"p2p", "send_rate", "Limit on what is sent to one native peer, in bytes per second."},
	{"p2p", "recv_rate", "Limit on what is received from one native peer, in bytes per second."},
	{"p2p", "recv_assembly_timeout", "Longest time a native peer may take from the first to the last packet of one\n" +
		"message. 0 disables the limit."},
	{"p2p", "max_recv_buffer_bytes", "Limit on the bytes held for unfinished messages of one native peer.\n" +
		"0 disables it; otherwise at least 8454144, so that the largest block passes."},
	{"p2p", "max_send_buffer_bytes", "Limit on the bytes that wait to be sent to one native peer.\n" +
		"0 disables it; otherwise at least 8454144, so that the largest block passes."},
	{"bridge", "libp2p_laddr", "Where libp2p peers dial the bridge: IP and TCP port."},
	{"bridge", "libp2p_peers", "libp2p peers that native peers are paired with, comma separated: ID@host:port\n" +
		"(the TM2 ID; the libp2p peer ID is found out by dialing)."},
	{"bridge", "only_configured", "Pair native peers with libp2p_peers only. Otherwise the bridge takes libp2p peers that\n" +
		"have dialed it, or that others tell of, when none of the list can be reached or wants the peer."},
	{"bridge", "libp2p_network", "Network (chain ID) in whose DHT the bridge looks for further libp2p peers, through\n" +
		"libp2p_peers. Empty: it uses no DHT."},
	{"bridge", "libp2p_quic", "Use QUIC, too: listen at the UDP port with the number of libp2p_laddr, and dial both."},
	{"bridge", "identities", "How many IDs the bridge has on the native side: one at laddr, each further one at the next\n" +
		"port. A native peer that dials several of them has as many counterparts."},
	{"bridge", "tunnels", "Ports at which native peers dial a libp2p peer itself, comma separated: ID=port. The\n" +
		"native protocol runs inside a libp2p stream, so both know each other by their own IDs."},
	{"bridge", "max_pairs", "How many pairs of a native and a libp2p peer the bridge keeps at a time.\n" +
		"Where peers of both sides may be paired, those of one open three quarters at most."},
	{"bridge", "max_pairs_per_ip", "How many of them the peers at one IP address (IPv6: one /64) may have opened.\n" +
		"0 means a quarter of max_pairs."},
	{"http", "laddr", "Where the page for people, status, health, metrics and control are: IP and TCP port.\n" +
		"Empty: nowhere. Who reaches the port can read everything, and change nothing without the\n" +
		"token in the file http_token."},
	{"http", "hosts", "Host names under which browsers may ask, beside IP addresses and localhost, comma\nseparated. " +
		"Name here the name of a reverse proxy in front of laddr."},
	{"http", "pprof", "Serve profiles of the process at /debug/pprof/."},
	{"log", "level", "Least level that is logged: debug, info, warn or error. tm2bridge log changes it at run time."},
	{"log", "format", "text or json. The log goes to the standard error."},
}

// idleKey is a [p2p] key of a node that has no effect on a bridge. It is
// accepted so that a node's section can be copied.
type idleKey struct {
	name   string
	sample any    // a value of the key's type
	quiet  any    // the value that causes no warning; nil: none
	reason string // why the key has no effect
}

var idleKeys = []idleKey{
	{"home", "", "", "the home directory is chosen by --home"},
	{"external_address", "", "", "the bridge shows the nodes behind it, not itself"},
	{"seeds", "", "", "a bridge needs no way into a network beside persistent_peers and libp2p_peers"},
	{"max_num_inbound_peers", int64(0), nil, "[bridge].max_pairs limits the peers"},
	{"max_num_outbound_peers", int64(0), nil, "[bridge].max_pairs limits the peers"},
	{"pex", false, nil, "the bridge always answers discovery, for each side by itself"},
	{"addr_book_file", "", "", "the bridge keeps its address book in addrbook.json of its home"},
	{"upnp", false, false, "the bridge opens no ports on routers"},
	{"seed_mode", false, false, "the bridge is no seed node"},
	{"handshake_timeout", time.Duration(0), nil, "handshakes are limited to 3 seconds"},
	{"dial_timeout", time.Duration(0), nil, "dials are limited to 2.5 seconds"},
	{"stack", "", nil, "a bridge has a port for each stack"},
	{"dial", "", nil, "a bridge dials native and libp2p peers apart"},
	{"quic", false, false, "[bridge].libp2p_quic says it for a bridge"},
	{"libp2p_security", "", nil, "a bridge proposes noise first"},
	{"tunnel_bridges", "", "", "[bridge].tunnels says who has tunnels through this bridge"},
	{"tunnel_peer_ids", "", "", "the tunnels of [bridge].tunnels lead to persistent_peers"},
	{"dht", false, false, "[bridge].libp2p_network says it for a bridge"},
	{"test_dial_fail", false, false, "it is a test switch of former TM2 versions"},
	{"test_fuzz", false, false, "it is a test switch of former TM2 versions"},
	{"test_fuzz_config", map[string]any(nil), nil, "it is a test switch of former TM2 versions"},
}

// sections are those of the file, in the order in which Marshal writes them.
var sections = []string{"p2p", "bridge", "http", "log"}

// names returns the keys of a section that have an effect.
func names(section string) (names []string) {
	for _, k := range keys {
		if k.section == section {
			names = append(names, k.name)
		}
	}

	return names
}

// foreignKeys are the top-level keys and sections of a TM2 node that a bridge skips.
var foreignKeys = map[string]bool{
	"home": true, "proxy_app": true, "moniker": true, "fast_sync": true, "db_backend": true,
	"db_dir": true, "node_key_file": true, "abci": true, "prof_laddr": true, "halt_height": true,
	"skip_upgrade_height": true, "genesis_file": true, "priv_validator_key_file": true,
	"priv_validator_state_file": true, "priv_validator_laddr": true, "filter_peers": true,
	"log_level": true, "log_format": true, "exit_on_panic": true,
	"rpc": true, "mempool": true, "consensus": true, "tx_event_store": true, "telemetry": true,
	"application": true, "tx_index": true, "instrumentation": true, "fastsync": true, "grpc": true,
}
