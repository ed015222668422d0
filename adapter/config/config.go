package config

import (
	"path/filepath"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// defaultAddrBook is relative to RootDir.
const defaultAddrBook = "config/addrbook.json"

// P2PConfig is the section [p2p]. Its methods may be called concurrently while nobody
// changes it. Read it with LoadFile or Parse, which know durations such as "100ms". The keys
// that TM2 does not have come with the comment that stands above them in a config.toml.
type P2PConfig struct {
	// RootDir is the node's home directory, where relative paths begin. TM2 leaves it
	// empty in the file, and the program sets it.
	RootDir string `json:"home" toml:"home"`

	// ListenAddress is where peers dial the node, as "tcp://0.0.0.0:26656".
	ListenAddress string `json:"laddr" toml:"laddr"`
	// ExternalAddress is what peers are told to dial, if not ListenAddress.
	ExternalAddress string `json:"external_address" toml:"external_address"`
	// Seeds are asked for peers when the node knows nobody to dial: ID@host:port,
	// comma separated. As in TM2, they count only if PeerExchange is true.
	Seeds string `json:"seeds" toml:"seeds"`
	// PersistentPeers are dialed at start and redialed whenever they are lost:
	// ID@host:port, comma separated.
	PersistentPeers string `json:"persistent_peers" toml:"persistent_peers"`

	// MaxNumInboundPeers and MaxNumOutboundPeers bound the peers that dialed the node and
	// those that it dialed. Persistent peers are exempt and count; unconditional peers are
	// exempt and do not count.
	MaxNumInboundPeers  uint64 `json:"max_num_inbound_peers" toml:"max_num_inbound_peers"`
	MaxNumOutboundPeers uint64 `json:"max_num_outbound_peers" toml:"max_num_outbound_peers"`

	// FlushThrottleTimeout is how long packets may wait to be written together, up to a
	// minute.
	FlushThrottleTimeout time.Duration `json:"flush_throttle_timeout" toml:"flush_throttle_timeout"`
	// MaxPacketMsgPayloadSize is how many bytes of a message a packet holds at most, 1 to
	// 1 MiB. Peers with the default drop a node that sends more than 1024.
	MaxPacketMsgPayloadSize int `json:"max_packet_msg_payload_size" toml:"max_packet_msg_payload_size"`
	// SendRate and RecvRate bound the traffic with each peer, in bytes a second;
	// 0 means no limit.
	SendRate int64 `json:"send_rate" toml:"send_rate"`
	RecvRate int64 `json:"recv_rate" toml:"recv_rate"`
	// RecvAssemblyTimeout is how long a peer may take from the first to the last
	// packet of a message; 0 means no limit.
	RecvAssemblyTimeout time.Duration `json:"recv_assembly_timeout" toml:"recv_assembly_timeout"`
	// MaxRecvBufferBytes bounds the unfinished messages of a peer, and MaxSendBufferBytes
	// the messages that wait for it, in bytes. 0 means no limit; other values below
	// MinBufferBytes are refused.
	MaxRecvBufferBytes int `json:"max_recv_buffer_bytes" toml:"max_recv_buffer_bytes"`
	MaxSendBufferBytes int `json:"max_send_buffer_bytes" toml:"max_send_buffer_bytes"`

	// PeerExchange says whether the node runs the discovery reactor (channel
	// 0x50), which the program adds.
	PeerExchange bool `json:"pex" toml:"pex"`
	// SeedMode makes the node a seed, which hangs up each peer after
	// adapter.DefaultSeedUptime unless it is persistent or unconditional. Like Seeds, it
	// counts only if PeerExchange is true.
	SeedMode bool `json:"seed_mode" toml:"seed_mode" comment:"Whether the node is a seed, which hangs up each peer after a minute. Only if pex is true"`
	// PrivatePeerIDs are told to nobody: IDs, comma separated.
	PrivatePeerIDs string `json:"private_peer_ids" toml:"private_peer_ids"`
	// AllowDuplicateIP lets several peers of one IP dial the node.
	AllowDuplicateIP bool `json:"allow_duplicate_ip" toml:"allow_duplicate_ip"`
	// AddrBook is the file of the address book; see AddrBookFile.
	AddrBook string `json:"addr_book_file" toml:"addr_book_file"`

	// UnconditionalPeerIDs are admitted whatever the limits say: IDs, comma separated.
	// TM2 does not have this key.
	UnconditionalPeerIDs string `json:"unconditional_peer_ids" toml:"unconditional_peer_ids" comment:"Comma separated list of peer IDs that are admitted whatever the limits say, and take no slot"`
	// DialTimeout bounds each dial, from the name look-up to the end of the handshakes.
	// Former versions of TM2 had the key for the TCP connect only.
	DialTimeout time.Duration `json:"dial_timeout" toml:"dial_timeout" comment:"Time that a dial may take, from the name look-up to the end of the handshakes"`
	// ProxyProtocolNetworks are those of the proxies in front of the TCP listener, as
	// CIDR prefixes or single IPs, comma separated; see ProxyNetworks. TM2 does not have
	// it.
	ProxyProtocolNetworks string `json:"proxy_protocol_networks" toml:"proxy_protocol_networks" comment:"Comma separated list of networks of the proxies in front of laddr, which send PROXY protocol headers"`
	// BlockedPeers are neither admitted nor dialed: IDs, comma separated. TM2 does not have
	// it.
	BlockedPeers string `json:"blocked_peers" toml:"blocked_peers" comment:"Comma separated list of peer IDs that are neither admitted nor dialed"`
	// BlockedIPs are networks without peers, as CIDR prefixes or single IPs, comma
	// separated; see BlockedNetworks. TM2 does not have it.
	BlockedIPs string `json:"blocked_ips" toml:"blocked_ips" comment:"Comma separated list of networks, as 10.0.0.0/8, from which no peer is admitted"`

	// Stack says which peers a node accepts that has both stacks (adapter/dual): "native",
	// "dual" or "libp2p". Dial says on which stack it dials: "auto", "native-first",
	// "libp2p-first", "native" or "libp2p".
	Stack string `json:"stack" toml:"stack" comment:"Peers that the node accepts: native, dual or libp2p"`
	Dial  string `json:"dial" toml:"dial" comment:"Stack on which the node dials: auto, native-first, libp2p-first, native or libp2p"`
	// QUIC says whether the libp2p stack listens at the UDP port beside TCP and dials both.
	QUIC bool `json:"quic" toml:"quic" comment:"Whether libp2p peers may use QUIC, at the UDP port of laddr"`
	// Libp2pSecurity is the protocol that libp2p dials over TCP propose first: "noise" or
	// "tls", as in adapter/lp2p.
	Libp2pSecurity string `json:"libp2p_security" toml:"libp2p_security" comment:"Protocol that libp2p dials over TCP propose first: noise or tls"`
	// TunnelBridges are the bridges through whose tunnels (bridge/tunnel) a node on libp2p
	// alone has native peers: ID@host:port of their libp2p side, comma separated.
	// TunnelPeerIDs are the native peers that it dials through them, at the address that it
	// knows of them: IDs, comma separated. See Tunnels.
	TunnelBridges string `json:"tunnel_bridges" toml:"tunnel_bridges" comment:"Comma separated list of bridges, ID@host:port, through whose tunnels native peers reach the node. Only if stack and dial are libp2p"`
	TunnelPeerIDs string `json:"tunnel_peer_ids" toml:"tunnel_peer_ids" comment:"Comma separated list of IDs of native peers that are dialed through tunnel_bridges"`
	// DHT says whether the node finds libp2p peers in a DHT. It counts only if PeerExchange
	// is true.
	DHT bool `json:"dht" toml:"dht" comment:"Whether the node finds libp2p peers in a DHT. Only if pex is true"`
}

// DefaultP2PConfig returns TM2's defaults, adapter.DefaultDialTimeout, and for Stack and Dial
// "dual" and "auto": such a node and any other node of the network reach each other.
func DefaultP2PConfig() *P2PConfig {
	m := mconn.DefaultMConnConfig()

	return &P2PConfig{
		ListenAddress:           "tcp://0.0.0.0:26656",
		MaxNumInboundPeers:      adapter.DefaultMaxInboundPeers,
		MaxNumOutboundPeers:     adapter.DefaultMaxOutboundPeers,
		FlushThrottleTimeout:    m.FlushThrottle,
		MaxPacketMsgPayloadSize: m.MaxPacketMsgPayloadSize,
		SendRate:                m.SendRate,
		RecvRate:                m.RecvRate,
		RecvAssemblyTimeout:     m.RecvAssemblyTimeout,
		MaxRecvBufferBytes:      m.MaxRecvBufferBytes,
		MaxSendBufferBytes:      m.MaxSendBufferBytes,
		PeerExchange:            true,
		AddrBook:                defaultAddrBook,
		DialTimeout:             adapter.DefaultDialTimeout,
		Stack:                   "dual",
		Dial:                    "auto",
		Libp2pSecurity:          "noise",
	}
}

// TestP2PConfig returns TM2's defaults for networks on one machine: several peers may
// share an IP, and packets wait 10 ms at most.
func TestP2PConfig() *P2PConfig {
	c := DefaultP2PConfig()
	c.FlushThrottleTimeout = 10 * time.Millisecond
	c.AllowDuplicateIP = true

	return c
}

// AddrBookFile returns the path of the address book: AddrBook, or TM2's default if that
// is empty. A relative path begins at RootDir.
func (c *P2PConfig) AddrBookFile() string {
	path := c.AddrBook
	if path == "" {
		path = defaultAddrBook
	}
	if filepath.IsAbs(path) {
		return path
	}

	return filepath.Join(c.RootDir, path)
}

// MConnConfig returns the limits of the native connections.
func (c *P2PConfig) MConnConfig() mconn.MConnConfig {
	m := mconn.DefaultMConnConfig()
	m.FlushThrottle = c.FlushThrottleTimeout
	m.MaxPacketMsgPayloadSize = c.MaxPacketMsgPayloadSize
	m.SendRate = c.SendRate
	m.RecvRate = c.RecvRate
	m.RecvAssemblyTimeout = c.RecvAssemblyTimeout
	m.MaxRecvBufferBytes = c.MaxRecvBufferBytes
	m.MaxSendBufferBytes = c.MaxSendBufferBytes

	return m
}
