package config

import (
	nodeconfig "github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// What a bridge does unless it is told otherwise.
const (
	DefaultNativeAddress = "tcp://0.0.0.0:26656"
	DefaultLibp2pAddress = "tcp://0.0.0.0:36656"
)

// FieldError is a value that the bridge cannot work with.
type FieldError = nodeconfig.FieldError

// Config is config.toml, as far as it has an effect on a bridge.
type Config struct {
	// P2P is the section [p2p], which a bridge shares with TM2 nodes. It describes
	// the side of the native peers. Of its keys, those that Marshal writes have an
	// effect; Parse leaves the others at their defaults.
	P2P    nodeconfig.P2PConfig
	Bridge Bridge
}

// Bridge is the section [bridge].
type Bridge struct {
	Libp2pListenAddress string // libp2p_laddr: where libp2p peers dial the bridge
	Libp2pPeers         string // libp2p_peers: libp2p peers that native peers are paired with
	Libp2pNetwork       string // libp2p_network: in whose DHT further libp2p peers are looked for
	OnlyConfigured      bool   // only_configured: native peers are paired with Libp2pPeers only
	Libp2pQUIC          bool   // libp2p_quic: QUIC beside TCP
	MaxPairs            int    // max_pairs
	MaxPairsPerIP       int    // max_pairs_per_ip
}

// Default returns the configuration that Init writes and that keys absent from a
// file keep: TM2's own defaults in [p2p].
func Default() *Config {
	c := &Config{
		P2P: *nodeconfig.DefaultP2PConfig(),
		Bridge: Bridge{
			Libp2pListenAddress: DefaultLibp2pAddress,
			MaxPairs:            bridge.DefaultMaxPairs,
		},
	}
	c.P2P.ListenAddress = DefaultNativeAddress

	return c
}

// MConnConfig returns the configuration of the connections to native peers.
func (c *Config) MConnConfig() mconn.MConnConfig {
	return c.P2P.MConnConfig()
}

// Addresses are the addresses and IDs of a Config in the form that a bridge takes.
type Addresses struct {
	NativeListen types.NetAddress
	Libp2pListen types.NetAddress
	NativePeers  []*types.NetAddress
	Libp2pPeers  []*types.NetAddress
	PrivatePeers []types.ID
	// UnconditionalPeers are native peers.
	UnconditionalPeers []types.ID
}

// Addresses returns the addresses of a bridge with the ID. Host names among the
// peers are looked up, within 3 seconds each; one that does not resolve is no
// error, for the bridge looks it up at each dial. An error is a *FieldError.
func (c *Config) Addresses(id types.ID) (*Addresses, error) {
	var a Addresses
	var err error
	if a.NativeListen, err = listenAddress(keyNativeListen, c.P2P.ListenAddress, id); err != nil {
		return nil, err
	}
	if a.Libp2pListen, err = listenAddress(keyLibp2pListen, c.Bridge.Libp2pListenAddress, id); err != nil {
		return nil, err
	}
	if a.NativePeers, err = peerAddresses(keyNativePeers, c.P2P.PersistentPeers); err != nil {
		return nil, err
	}
	if a.Libp2pPeers, err = peerAddresses(keyLibp2pPeers, c.Bridge.Libp2pPeers); err != nil {
		return nil, err
	}
	if a.PrivatePeers, err = peerIDs(keyPrivatePeers, c.P2P.PrivatePeerIDs); err != nil {
		return nil, err
	}
	if a.UnconditionalPeers, err = peerIDs(keyUnconditionalPeers, c.P2P.UnconditionalPeerIDs); err != nil {
		return nil, err
	}

	return &a, nil
}
