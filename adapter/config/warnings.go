package config

import (
	"fmt"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// Warnings returns a sentence for the operator about each value that is valid and has no
// effect because of another value, or more than the stacks make use of. Parse and LoadFile return
// them too.
func (c *P2PConfig) Warnings() (warnings []string) {
	const onlyLibp2p = "it is for libp2p, and stack and dial are native"
	native := c.Stack == "native" && c.Dial == "native"
	for _, rule := range []struct {
		idle        bool
		key, reason string
	}{
		{c.Seeds != "" && !c.PeerExchange, "seeds", "seeds are asked for peers only if pex is true"},
		{c.SeedMode && !c.PeerExchange, "seed_mode", "a node tells of others only if pex is true"},
		{c.DHT && !c.PeerExchange, "dht", "a node looks for others only if pex is true"},
		{c.DHT && c.PeerExchange && native, "dht", onlyLibp2p},
		{c.QUIC && native, "quic", onlyLibp2p},
		{c.Libp2pSecurity == "tls" && native, "libp2p_security", onlyLibp2p},
		{c.TunnelPeerIDs != "" && c.TunnelBridges == "", "tunnel_peer_ids", "there is no tunnel without tunnel_bridges"},
		{c.TunnelBridges != "" && (c.Stack != "libp2p" || c.Dial != "libp2p"), "tunnel_bridges",
			"a node has tunnels only if stack and dial are libp2p"},
	} {
		if rule.idle {
			warnings = append(warnings, fullName(rule.key)+" has no effect: "+rule.reason)
		}
	}
	if c.DialTimeout > adapter.DefaultDialTimeout {
		warnings = append(warnings, fmt.Sprintf("%s = %s waits no longer for a slow peer than %s: a stack has 3s (native) or 5s (libp2p) to connect, "+
			"and 3s for each step of the handshakes, as the peer has", fullName("dial_timeout"), c.DialTimeout, adapter.DefaultDialTimeout))
	}

	return append(warnings, c.idlePeers()...)
}

// idlePeers is Warnings for entries of the lists of peers.
func (c *P2PConfig) idlePeers() (warnings []string) {
	blocked, _ := tomlvalue.IDs(fullName("blocked_peers"), c.BlockedPeers) // PeerLists reports what cannot be used
	for _, list := range [][2]string{{"persistent_peers", c.PersistentPeers}, {"seeds", c.Seeds}} {
		if peer := tomlvalue.Repeated(list[1]); peer != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %q replaces an earlier entry with the same ID, which has no effect", fullName(list[0]), peer))
		}
		for _, peer := range tomlvalue.SplitList(list[1]) {
			if id, err := tomlvalue.CheckPeer(peer); err == nil && slices.Contains(blocked, id) {
				warnings = append(warnings, fmt.Sprintf("%s: %q has no effect, because the ID is in %s", fullName(list[0]), peer, fullName("blocked_peers")))
			}
		}
	}

	return warnings
}

// UnknownPlace returns a sentence for the operator if the node takes part in peer exchange
// but its NodeInfo shows an address without an IP, which no peer can pass on. Otherwise it
// returns the empty string. The address is that of AdvertisedNetAddress, or the one that
// the program shows instead; the program logs the sentence at start. A host name that does
// not resolve yet is reported by the transport, which looks it up again.
func (c *P2PConfig) UnknownPlace(advertised types.NetAddress) string {
	if !c.PeerExchange || advertised.Hostname != "" || (len(advertised.IP) > 0 && !advertised.IP.IsUnspecified()) {
		return ""
	}

	return "no peer can be told where this node is: set " + fullName("external_address") + " to the address at which peers can dial it, or " +
		fullName("pex") + " to false"
}
