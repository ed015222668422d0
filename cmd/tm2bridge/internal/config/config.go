package config

import (
	"errors"

	nodeconfig "github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// Default values of the configuration.
const (
	DefaultNativeAddress = "tcp://0.0.0.0:26656"
	DefaultLibp2pAddress = "tcp://0.0.0.0:36656"
	DefaultHTTPAddress   = "tcp://127.0.0.1:36660"
)

// FieldError is the error of an invalid value. It names the key.
type FieldError = nodeconfig.FieldError

// Config holds the keys of config.toml that have an effect on a bridge.
type Config struct {
	// P2P is the section [p2p], with the keys of a TM2 node. It configures the side of
	// the native peers. Only the keys that Marshal writes have an effect; Parse leaves
	// the others at their defaults.
	P2P    nodeconfig.P2PConfig
	Bridge Bridge
	HTTP   HTTP
	Log    Log
}

// Bridge is the section [bridge].
type Bridge struct {
	Libp2pListenAddress string `toml:"libp2p_laddr"`    // where libp2p peers dial the bridge
	Libp2pPeers         string `toml:"libp2p_peers"`    // libp2p peers that native peers are paired with
	Libp2pNetwork       string `toml:"libp2p_network"`  // the network whose DHT finds more libp2p peers
	OnlyConfigured      bool   `toml:"only_configured"` // native peers are paired with Libp2pPeers only
	Libp2pQUIC          bool   `toml:"libp2p_quic"`     // QUIC beside TCP
	Identities          int    `toml:"identities"`      // on the native side, each at a port of its own
	Tunnels             string `toml:"tunnels"`         // libp2p peers that native peers reach as they are
	MaxPairs            int    `toml:"max_pairs"`
	MaxPairsPerIP       int    `toml:"max_pairs_per_ip"`
}

// HTTP is the section [http].
type HTTP struct {
	ListenAddress string `toml:"laddr"` // where the page and the metrics are; empty: nowhere
	Hosts         string `toml:"hosts"` // names under which a browser may ask
	Pprof         bool   `toml:"pprof"`
}

// Log is the section [log].
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn or error
	Format string `toml:"format"` // text or json
}

// Default returns the default configuration. Its [p2p] section has the defaults of a TM2
// node.
func Default() *Config {
	c := &Config{
		P2P: *nodeconfig.DefaultP2PConfig(),
		Bridge: Bridge{
			Libp2pListenAddress: DefaultLibp2pAddress,
			Identities:          1,
			MaxPairs:            bridge.DefaultMaxPairs,
		},
		HTTP: HTTP{ListenAddress: DefaultHTTPAddress},
		Log:  Log{Level: "info", Format: FormatText},
	}
	c.P2P.ListenAddress = DefaultNativeAddress

	return c
}

// ForBridge returns the configuration of the bridge with the ID. It resolves the host names
// of peers, 16 at a time and each within 3 seconds. A name that does not resolve is no
// error, since the bridge resolves names again at each dial. An error joins *FieldErrors.
func (c *Config) ForBridge(id types.ID) (bridge.Config, error) {
	cfg := bridge.Config{
		OnlyConfigured: c.Bridge.OnlyConfigured,
		Libp2pNetwork:  c.Bridge.Libp2pNetwork,
		Libp2pQUIC:     c.Bridge.Libp2pQUIC,
		MConfig:        c.P2P.MConnConfig(),
		Identities:     c.Bridge.Identities,
		MaxPairs:       c.Bridge.MaxPairs,
		MaxPairsPerIP:  c.Bridge.MaxPairsPerIP,

		AllowDuplicateIP: c.P2P.AllowDuplicateIP,
	}
	var errs [7]error
	var native nodeconfig.PeerLists
	native, errs[0] = c.P2P.PeerLists()
	cfg.NativePeers, cfg.PrivatePeers, cfg.UnconditionalPeers = native.Persistent, native.Private, native.Unconditional
	cfg.BlockedPeers = native.Blocked
	cfg.NativeListen, errs[1] = c.P2P.ListenNetAddress(id)
	cfg.Libp2pListen, errs[2] = listenAddress(keyLibp2pListen, c.Bridge.Libp2pListenAddress, id)
	cfg.Libp2pPeers, errs[3] = tomlvalue.Peers(keyLibp2pPeers, c.Bridge.Libp2pPeers)
	cfg.ProxyNetworks, errs[4] = c.P2P.ProxyNetworks()
	cfg.BlockedIPs, errs[5] = c.P2P.BlockedNetworks()
	cfg.Tunnels, errs[6] = tunnels(c.Bridge.Tunnels, cfg.NativeListen, cfg.Libp2pPeers)

	return cfg, errors.Join(errs[:]...)
}
