package crawl

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The states of nodes.
const (
	Reachable = "reachable" // it has proved its key
	Heard     = "heard"     // others tell of it, and nothing more is known
)

// What is known of a node's being a bridge.
const (
	BridgeYes = "yes" // it says so
	// BridgeLikely is for a node that withholds its NodeInfo until it has received one, which
	// nodes that are no bridges do not do.
	BridgeLikely = "likely"
)

const (
	// maxAddresses is how many addresses of a node are kept.
	maxAddresses = 8
	// maxText bounds the texts of a node that are kept, in bytes.
	maxText = 128
	// maxError bounds an error that is kept, in bytes: some quote what a remote has sent.
	maxError = 512
)

// Node is what a crawl found out about a node. Its texts were chosen by strangers: a program
// that shows them on a terminal escapes them.
type Node struct {
	ID types.ID `json:"id"`
	// PeerID is the libp2p peer ID of the same key, if it is known.
	PeerID string `json:"peer_id,omitempty"`
	State  string `json:"state"`
	// Addresses are IPs and ports, the one that answered first. Others may be made up.
	Addresses []string `json:"addresses,omitempty"`
	Moniker   string   `json:"moniker,omitempty"`
	Network   string   `json:"network,omitempty"`
	Version   string   `json:"version,omitempty"`
	Stacks    []string `json:"stacks,omitempty"`
	Dialect   string   `json:"dialect,omitempty"`
	// QUIC tells whether it answers over QUIC. It is absent if that was not tried.
	QUIC   *bool  `json:"quic,omitempty"`
	Bridge string `json:"bridge,omitempty"`
	// RoundTrip is the duration of a TCP connect.
	RoundTrip Milliseconds `json:"round_trip_ms,omitempty"`
	// Told is how many nodes it has told of, and HeardFrom how many nodes have told of it.
	Told      int `json:"told"`
	HeardFrom int `json:"heard_from"`
	// Error says why it did not answer, or did not answer a question.
	Error string `json:"error,omitempty"`
}

// Milliseconds is a duration in JSON.
type Milliseconds float64

func milliseconds(d time.Duration) Milliseconds {
	return Milliseconds(float64(d.Round(time.Microsecond)) / float64(time.Millisecond))
}

// answered fills in what a visit has found.
func (n *Node) answered(r *probe.Result) {
	n.State, n.PeerID, n.Dialect, n.QUIC = Reachable, r.PeerID, r.Dialect, r.QUIC
	n.Stacks, n.RoundTrip, n.Error = r.Stacks, milliseconds(r.ConnectTime), ""
	n.addAddress(r.Address, true)
	switch {
	case r.Bridge:
		n.Bridge = BridgeYes
	case r.Withheld:
		n.Bridge = BridgeLikely
	}
	if info := r.NodeInfo; info != nil {
		n.Moniker, n.Network, n.Version = clip(info.Moniker, maxText), clip(info.Network, maxText), clip(info.Version, maxText)
		if at := info.NetAddress; at != nil && at.Dialable() {
			n.addAddress(at.DialString(), false)
		}
	}
	if r.Peers != nil {
		n.Told = len(r.Peers.Exchanged) + len(r.Peers.Members)
		for _, err := range r.Peers.Refused {
			n.Error = clip(err.Error(), maxError)
		}
	}
	if n.Error == "" {
		n.Error = clip(strings.Join(r.Notes, "; "), maxError)
	}
}

// addAddress keeps an address of the node. One that has answered is the first.
func (n *Node) addAddress(address string, answered bool) {
	i := slices.Index(n.Addresses, address)
	switch {
	case answered && i >= 0:
		n.Addresses = slices.Insert(slices.Delete(n.Addresses, i, i+1), 0, address)
	case answered:
		n.Addresses = slices.Insert(n.Addresses, 0, address)
		n.Addresses = n.Addresses[:min(len(n.Addresses), maxAddresses)]
	case i < 0 && len(n.Addresses) < maxAddresses:
		n.Addresses = append(n.Addresses, address)
	}
}

// failed notes why the node was not found at an address.
func (n *Node) failed(at netip.AddrPort, err error) {
	if n.State == Heard {
		n.Error = clip(err.Error(), maxError)
		n.addAddress(at.String(), false)
	}
}

// clip returns at most limit bytes of a text, and whole runes.
func clip(text string, limit int) string {
	if text = strings.ToValidUTF8(text, "\uFFFD"); len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}

	return text[:limit]
}

// sorted orders nodes for people: those that answered first, then by ID.
func sorted(nodes map[types.ID]*Node) []*Node {
	list := make([]*Node, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *Node) int {
		return cmp.Or(-cmp.Compare(a.State, b.State), cmp.Compare(a.ID, b.ID))
	})

	return list
}
