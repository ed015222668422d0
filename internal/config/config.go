package config

import (
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// What a bridge does unless it is told otherwise.
const (
	DefaultLegacyAddress = "tcp://0.0.0.0:26656"
	DefaultLibp2pAddress = "tcp://0.0.0.0:36656"
	DefaultMaxPairs      = 128
)

// Config is config.toml, as far as it has an effect on a bridge.
type Config struct {
	P2P    P2P
	Bridge Bridge
}

// P2P is the section [p2p], which a bridge shares with TM2 nodes. It describes
// the side of the legacy peers.
type P2P struct {
	ListenAddress           string        // laddr: where legacy peers dial the bridge
	PersistentPeers         string        // persistent_peers: legacy peers the bridge may dial
	PrivatePeerIDs          string        // private_peer_ids: named in no discovery answer
	FlushThrottleTimeout    time.Duration // flush_throttle_timeout
	MaxPacketMsgPayloadSize int           // max_packet_msg_payload_size, in bytes
	SendRate                int64         // send_rate, in bytes a second
	RecvRate                int64         // recv_rate, in bytes a second
	RecvAssemblyTimeout     time.Duration // recv_assembly_timeout
	MaxRecvBufferBytes      int           // max_recv_buffer_bytes
	MaxSendBufferBytes      int           // max_send_buffer_bytes
}

// Bridge is the section [bridge].
type Bridge struct {
	Libp2pListenAddress string // libp2p_laddr: where libp2p peers dial the bridge
	Libp2pPeers         string // libp2p_peers: libp2p peers that legacy peers are paired with
	MaxPairs            int    // max_pairs
	MaxPairsPerIP       int    // max_pairs_per_ip
}

// Default returns the configuration that Init writes and that keys absent from a
// file keep: TM2's own defaults in [p2p].
func Default() *Config {
	return &Config{
		P2P: P2P{
			ListenAddress:           DefaultLegacyAddress,
			FlushThrottleTimeout:    100 * time.Millisecond,
			MaxPacketMsgPayloadSize: 1024,
			SendRate:                5120000,
			RecvRate:                5120000,
			RecvAssemblyTimeout:     30 * time.Second,
			MaxRecvBufferBytes:      20 << 20,
			MaxSendBufferBytes:      20 << 20,
		},
		Bridge: Bridge{
			Libp2pListenAddress: DefaultLibp2pAddress,
			MaxPairs:            DefaultMaxPairs,
		},
	}
}

// MConnConfig returns the configuration of the connections to legacy peers.
func (c *Config) MConnConfig() mconn.MConnConfig {
	m := mconn.DefaultMConnConfig()
	m.FlushThrottle = c.P2P.FlushThrottleTimeout
	m.MaxPacketMsgPayloadSize = c.P2P.MaxPacketMsgPayloadSize
	m.SendRate = c.P2P.SendRate
	m.RecvRate = c.P2P.RecvRate
	m.RecvAssemblyTimeout = c.P2P.RecvAssemblyTimeout
	m.MaxRecvBufferBytes = c.P2P.MaxRecvBufferBytes
	m.MaxSendBufferBytes = c.P2P.MaxSendBufferBytes

	return m
}

// Addresses are the addresses and IDs of a Config in the form that a bridge takes.
type Addresses struct {
	LegacyListen types.NetAddress
	Libp2pListen types.NetAddress
	LegacyPeers  []*types.NetAddress
	Libp2pPeers  []*types.NetAddress
	PrivatePeers []types.ID
}

// Addresses returns the addresses of a bridge with the ID. Host names among the
// peers are resolved here, within 3 seconds each, for the bridge takes only peers
// whose IP is known at the start. An error is a *FieldError.
func (c *Config) Addresses(id types.ID) (*Addresses, error) {
	var a Addresses
	var err error
	if a.LegacyListen, err = listenAddress(keyLegacyListen, c.P2P.ListenAddress, id); err != nil {
		return nil, err
	}
	if a.Libp2pListen, err = listenAddress(keyLibp2pListen, c.Bridge.Libp2pListenAddress, id); err != nil {
		return nil, err
	}
	if a.LegacyPeers, err = peerAddresses(keyLegacyPeers, c.P2P.PersistentPeers); err != nil {
		return nil, err
	}
	if a.Libp2pPeers, err = peerAddresses(keyLibp2pPeers, c.Bridge.Libp2pPeers); err != nil {
		return nil, err
	}
	if a.PrivatePeers, err = peerIDs(keyPrivatePeers, c.P2P.PrivatePeerIDs); err != nil {
		return nil, err
	}

	return &a, nil
}

// FieldError is a value that the bridge cannot work with.
type FieldError struct {
	Key    string // section and name, as "[p2p].laddr"
	Value  any
	Reason string
}

// Error names the key, its value and what is wrong with it.
func (e *FieldError) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("%s = %q: %s", e.Key, s, e.Reason)
	}

	return fmt.Sprintf("%s = %v: %s", e.Key, e.Value, e.Reason)
}
