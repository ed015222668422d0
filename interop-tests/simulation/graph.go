package simulation

import "github.com/tm2-libp2p/tm2-libp2p/compat/types"

// graph holds the sessions between nodes, as each end sees them.
type graph struct {
	nodes []*node
	index map[types.ID]int
	peers [][]link
	moved []int // outbound slots taken beyond the peers dialed, of each node
}

type link struct {
	to       int
	outbound bool // dialed by this end
}

// observe reads the peers of the nodes' switches. It ignores peers that are not among the
// nodes, such as one that has left and was not removed yet.
func observe(nodes []*node) *graph {
	g := &graph{nodes: nodes, index: make(map[types.ID]int, len(nodes)), peers: make([][]link, len(nodes)), moved: make([]int, len(nodes))}
	for i, n := range nodes {
		g.index[n.id()] = i
	}
	for i, n := range nodes {
		for _, p := range n.sw.Peers().List() {
			if to, ok := g.index[p.ID()]; ok && nodes[to].sw.Peers().Has(n.id()) {
				g.peers[i] = append(g.peers[i], link{to: to, outbound: p.IsOutbound()})
			}
		}
		// Of two crossed connections, the surviving one may be inbound and use the
		// outbound slot.
		taken, _ := n.sw.OutboundSlots()
		g.moved[i] = int(taken) - int(n.sw.Peers().NumOutbound())
	}

	return g
}

// outbound returns how many links the node has dialed.
func (g *graph) outbound(i int) (n uint64) {
	for _, l := range g.peers[i] {
		if l.outbound {
			n++
		}
	}

	return n
}

// isFull reports whether the node has filled the given number of outbound slots or has links
// to all others.
func (g *graph) isFull(i int, slots uint64) bool {
	return int(g.outbound(i))+g.moved[i] >= int(slots) || len(g.peers[i]) == len(g.nodes)-1
}

// full returns how many of the nodes are full. It counts all nodes if none are given.
func (g *graph) full(slots uint64, among ...*node) (n int) {
	if len(among) == 0 {
		among = g.nodes
	}
	for _, a := range among {
		if g.isFull(g.index[a.id()], slots) {
			n++
		}
	}

	return n
}

// parts returns the number of connected components with any of the nodes. It counts all
// nodes if none are given.
func (g *graph) parts(among ...*node) (parts int) {
	if len(among) == 0 {
		among = g.nodes
	}
	seen := make([]bool, len(g.peers))
	var queue []int
	for _, n := range among {
		i := g.index[n.id()]
		if seen[i] {
			continue
		}
		parts++
		seen[i] = true
		for queue = append(queue[:0], i); len(queue) > 0; {
			at := queue[len(queue)-1]
			queue = queue[:len(queue)-1]
			for _, l := range g.peers[at] {
				if !seen[l.to] {
					seen[l.to] = true
					queue = append(queue, l.to)
				}
			}
		}
	}

	return parts
}
