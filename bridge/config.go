package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// DefaultMaxPairs is how many pairs a bridge keeps when Config.MaxPairs is 0.
const DefaultMaxPairs = 128

// MaxIdentities bounds Config.Identities.
const MaxIdentities = 16

// ErrInvalidConfig is wrapped by the errors of Config.Validate.
var ErrInvalidConfig = errors.New("invalid bridge configuration")

var errDuplicatePeer = errors.New("another entry has the same ID")

// Config says where a bridge listens and which nodes it may pair.
type Config struct {
	// NativeListen is where native nodes dial the bridge, Libp2pListen where
	// libp2p nodes do. Only IP and port count; port 0 takes a free one.
	NativeListen types.NetAddress
	Libp2pListen types.NetAddress
	// Identities is how many IDs the bridge has on the native side; 0 means 1, 16 are the
	// most. The first is that of its node key, at NativeListen, and each further one is
	// derived from the key and listens at the next port. A native node keeps one connection
	// for an ID, so a node that dials several of them has as many counterparts.
	Identities int
	// NativePeers are the native nodes with which the bridge pairs libp2p nodes that dial
	// it, Libp2pPeers the libp2p nodes with which it pairs native nodes. Each has an ID of
	// its own, and an IP or a Hostname, which is looked up at each dial. A node without an
	// IP is named in no discovery answer.
	NativePeers []*types.NetAddress
	Libp2pPeers []*types.NetAddress
	// Tunnels are the libp2p nodes to which native nodes have a tunnel: a port each, behind
	// which the node itself speaks the native protocol. These nodes may open tunnels to
	// NativePeers. Each node has one port.
	Tunnels []tunnel.Target
	// OnlyConfigured pairs native nodes with Libp2pPeers only. Otherwise the bridge also
	// takes libp2p nodes that have dialed it, that its libp2p peers name, and those in the
	// DHT of Libp2pNetwork, when Libp2pPeers fail or are paired with the node already.
	OnlyConfigured bool
	// Libp2pNetwork is the network (chain ID) in whose DHT the bridge looks for further
	// libp2p nodes, through Libp2pPeers (docs/discovery-dht.md). If empty it uses no DHT.
	Libp2pNetwork string
	// Libp2pQUIC listens for QUIC at the UDP port with the number of the TCP port of
	// Libp2pListen, and dials both.
	Libp2pQUIC bool
	// AddrBook is the file in which the bridge keeps what it knows of libp2p nodes, so that it
	// finds them again after a restart. If empty, or if the file cannot be used, which is
	// logged, the book is in memory.
	AddrBook string
	// PrivatePeers are named in no discovery answer, and not in AddrBook.
	PrivatePeers []types.ID
	// UnconditionalPeers are native nodes to which MaxPairs and MaxPairsPerIP do not
	// apply, and whose pairs count in neither.
	UnconditionalPeers []types.ID
	// BlockedPeers are nodes of either side that get no pair and are not dialed, and BlockedIPs
	// the networks from which nobody gets one, whatever else is configured.
	BlockedPeers []types.ID
	BlockedIPs   []netip.Prefix
	// Channels describes the channels to relay; nil means TM2Channels. A channel that
	// nodes have and that is not described is relayed with the defaults. None should take
	// larger messages than the targets do: these hold them against the bridge.
	Channels []*compat.ChannelDescriptor
	// MConfig configures the native connections; the zero value means
	// mconn.DefaultMConnConfig.
	MConfig mconn.MConnConfig
	// MaxPairs bounds the pairs; 0 means DefaultMaxPairs. If nodes of both sides may be
	// paired (with NativePeers, and unless OnlyConfigured is set without Libp2pPeers), and
	// MaxPairs is at least 4, those of one side open three quarters of them at most. When none
	// is free, a node of a crowded network gives way to a newcomer of a less crowded one.
	// MaxPairsPerIP bounds the pairs that nodes at one IP address (IPv6: one /64) have
	// opened; 0 means a quarter of MaxPairs, and at least one.
	MaxPairs      int
	MaxPairsPerIP int
	// AllowDuplicateIP lets nodes at one IP address (IPv6: one /64) have several pairs with
	// one target. Otherwise they have one, because a slot of the target is all that the IP
	// would get there without the bridge. UnconditionalPeers are not bound by that.
	AllowDuplicateIP bool
	// ProxyNetworks are those of the proxies in front of the TCP listeners of both sides. Each
	// connection from there must begin with a PROXY protocol header, version 1 or 2, and
	// counts as one from the client that the header names (see native.WithProxyProtocol and
	// lp2p.WithProxyProtocol). QUIC has no such header.
	ProxyNetworks []netip.Prefix
	// Sockets replaces the system's TCP on both sides, unless it is nil (see
	// native.WithSockets, lp2p.WithSockets).
	Sockets compat.Sockets
	// Registerer gets the metrics of the libp2p side (see lp2p.WithPrometheus); nil: nobody.
	Registerer prometheus.Registerer
}

// Validate names the first field that the bridge cannot work with. The error
// wraps ErrInvalidConfig.
func (c *Config) Validate() error {
	switch {
	case c.MaxPairs < 0:
		return invalid("MaxPairs", fmt.Errorf("%d is negative", c.MaxPairs))
	case c.MaxPairsPerIP < 0:
		return invalid("MaxPairsPerIP", fmt.Errorf("%d is negative", c.MaxPairsPerIP))
	case c.Identities < 0 || c.Identities > MaxIdentities:
		return invalid("Identities", fmt.Errorf("%d is not within 1 and %d", c.Identities, MaxIdentities))
	case c.NativeListen.Port > 0 && int(c.NativeListen.Port)+c.Identities-1 > math.MaxUint16:
		return invalid("Identities", fmt.Errorf("there are no %d ports from %d on", c.Identities, c.NativeListen.Port))
	case c.Libp2pNetwork != "" && c.OnlyConfigured:
		return invalid("Libp2pNetwork", errors.New("it has no effect with OnlyConfigured"))
	case c.Libp2pNetwork != "":
		if err := discovery.CheckNetwork(c.Libp2pNetwork); err != nil {
			return invalid("Libp2pNetwork", err)
		}
	}
	for i, d := range c.Channels {
		if d == nil {
			return invalid("Channels", fmt.Errorf("entry %d is nil", i))
		}
		if err := d.Validate(); err != nil {
			return invalid("Channels", err)
		}
	}

	return cmp.Or(
		invalid("UnconditionalPeers", checkIDs(c.UnconditionalPeers)),
		invalid("BlockedPeers", checkIDs(c.BlockedPeers)),
		c.blocklist().check(),
		invalid("BlockedIPs", proxied.Networks(c.BlockedIPs).Validate()),
		invalid("NativePeers", checkPeers(c.NativePeers)),
		invalid("Libp2pPeers", checkPeers(c.Libp2pPeers)),
		invalid("Tunnels", c.checkTunnels()),
		invalid("MConfig", c.MConfig.Validate()),
	)
}

// invalid wraps the error of a field, if there is one.
func invalid(field string, err error) error {
	if err == nil {
		return nil
	}

	return fmt.Errorf("%w: %s: %w", ErrInvalidConfig, field, err)
}

func checkIDs(ids []types.ID) error {
	for _, id := range ids {
		if err := id.Validate(); err != nil {
			return fmt.Errorf("%q: %w", id, err)
		}
	}

	return nil
}

// checkPeers checks that each address can be dialed, or has a host name to look up then.
func checkPeers(peers []*types.NetAddress) error {
	seen := make(map[types.ID]bool, len(peers))
	for i, addr := range peers {
		if addr == nil {
			return fmt.Errorf("entry %d is nil", i)
		}
		check := addr.Validate
		if addr.Hostname != "" {
			check = addr.ID.Validate
		}
		if err := check(); err != nil {
			return fmt.Errorf("%s: %w", addr, err)
		}
		// A node that is dialed twice at a time ends one of the two connections.
		if seen[addr.ID] {
			return fmt.Errorf("%s: %w", addr, errDuplicatePeer)
		}
		seen[addr.ID] = true
	}

	return nil
}

// checkTunnels checks the IDs and the ports. A node without an address has to keep a connection to
// the bridge.
func (c *Config) checkTunnels() error {
	seen := make(map[types.ID]bool, len(c.Tunnels))
	for i, t := range c.Tunnels {
		if err := t.Node.ID.Validate(); err != nil {
			return fmt.Errorf("%q: %w", t.Node.ID, err)
		}
		if seen[t.Node.ID.Canonical()] {
			return fmt.Errorf("%s: %w", t.Node.ID, errDuplicatePeer)
		}
		seen[t.Node.ID.Canonical()] = true
		if whose := c.listensAt(t.Listen, c.Tunnels[:i]); whose != "" {
			return fmt.Errorf("%s: port %d is that of %s", t.Node.ID, t.Listen.Port, whose)
		}
	}

	return nil
}

// listensAt returns what else of the bridge, or which of these tunnels, listens at the address, or
// nothing. Port 0 takes a free one.
func (c *Config) listensAt(at types.NetAddress, tunnels []tunnel.Target) string {
	meets := func(other types.NetAddress, ports int) bool {
		return at.Port > 0 && other.Port > 0 && at.Port >= other.Port && int(at.Port) < int(other.Port)+ports &&
			(at.IP.Equal(other.IP) || isAnyIP(at.IP) || isAnyIP(other.IP))
	}
	switch i := slices.IndexFunc(tunnels, func(t tunnel.Target) bool { return meets(t.Listen, 1) }); {
	case meets(c.NativeListen, c.Identities):
		return "the native side, or of one of its identities"
	case meets(c.Libp2pListen, 1):
		return "the libp2p side"
	case i >= 0:
		return "the tunnel to " + tunnels[i].Node.ID.String()
	default:
		return ""
	}
}

func isAnyIP(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }

func (c Config) blocklist() blocklist { return blocklist{c.BlockedPeers, c.BlockedIPs} }

// libp2pLimits makes room for all pairs, even if all are with one node, and for one
// connection to each target.
func (c Config) libp2pLimits() lp2p.Limits {
	pairs, targets := c.MaxPairs+len(c.UnconditionalPeers), len(c.Libp2pPeers)+len(c.Tunnels)+maxLearned

	return lp2p.PeerLimits(uint64(pairs), uint64(targets), true)
}

const (
	// maxLearned bounds the addresses of targets that were not configured, maxPerSource
	// those that one host, or one network, names and that have not answered yet.
	maxLearned   = 64
	maxPerSource = 8
)

// addrBook returns the book of the libp2p nodes. A file that cannot be used keeps no bridge
// from starting: without it the bridge has what the configuration names, and what it hears.
func (c Config) addrBook(self types.ID, logger *slog.Logger) (*addrbook.Book, error) {
	open := func(path string) (*addrbook.Book, error) {
		return addrbook.Open(path, types.NetAddress{ID: self}, addrbook.WithAllowDuplicateIP(c.AllowDuplicateIP),
			addrbook.WithMaxPeers(len(c.Libp2pPeers)+maxLearned), addrbook.WithMaxHints(maxPerSource),
			addrbook.WithUnsavedPeers(c.PrivatePeers), addrbook.WithLogger(logger))
	}
	book, err := open(c.AddrBook)
	if err != nil && c.AddrBook != "" {
		logger.Warn("the bridge forgets the nodes that it finds when it stops, since it has no file for them", "file", c.AddrBook, "err", err)
		book, err = open("")
	}
	for i := 0; err == nil && i < len(c.Libp2pPeers); i++ {
		book.Configure(c.Libp2pPeers[i].ID, *c.Libp2pPeers[i])
	}

	return book, err
}

// withDefaults also writes each ID as a key's ID is written, so that it can be compared. It
// leaves nil entries to Validate, and the caller's lists as they are.
func (c Config) withDefaults() Config {
	for _, ids := range []*[]types.ID{&c.PrivatePeers, &c.UnconditionalPeers, &c.BlockedPeers} {
		*ids = slices.Clone(*ids)
		for i, id := range *ids {
			(*ids)[i] = id.Canonical()
		}
	}
	for _, peers := range []*[]*types.NetAddress{&c.NativePeers, &c.Libp2pPeers} {
		*peers = slices.Clone(*peers)
		for i, addr := range *peers {
			if addr != nil {
				own := *addr
				own.ID = own.ID.Canonical()
				(*peers)[i] = &own
			}
		}
	}
	c.Tunnels = slices.Clone(c.Tunnels)
	for i := range c.Tunnels {
		c.Tunnels[i].Node.ID = c.Tunnels[i].Node.ID.Canonical()
	}
	if c.Channels == nil {
		c.Channels = TM2Channels()
	}
	c.MConfig = cmp.Or(c.MConfig, mconn.DefaultMConnConfig())
	c.Identities = cmp.Or(c.Identities, 1)
	c.MaxPairs = cmp.Or(c.MaxPairs, DefaultMaxPairs)
	c.MaxPairsPerIP = cmp.Or(c.MaxPairsPerIP, max(c.MaxPairs/4, 1))

	return c
}
