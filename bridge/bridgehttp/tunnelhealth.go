package bridgehttp

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
)

const bringBack = "Start the node, see that its tunnel_bridges names this bridge, or give its address in [bridge].libp2p_peers."

// tunnelHealth counts the libp2p nodes with a tunnel.
type tunnelHealth struct {
	targets int
	away    int // keep no connection to the bridge, which cannot dial them
	open    int // tunnels
}

func tunnelsNow(s bridge.Status) (h tunnelHealth) {
	for _, t := range s.Tunnels {
		h.open += len(t.Open)
		if t.ID != "" { // else nodes without a tunnel, which have asked for one
			h.targets++
			h.away += int(one(!t.InReach && !t.Dialable))
		}
	}

	return h
}

// reason tells of the nodes that are away.
func (h tunnelHealth) reason() string {
	return fmt.Sprintf("%d of %s cannot be reached: the bridge has neither a connection nor an address.",
		h.away, count2(h.targets, "node with a tunnel", "nodes with a tunnel"))
}
