package demo

import (
	"fmt"
	"strings"
)

// Topology says who is joined to whom when a run begins.
type Topology struct {
	Native []string
	Libp2p []string
	Bridge string // its ID
	// Joined has, for each native node, the libp2p node that the bridge has joined it to.
	Joined map[string]string
	Page   string // the URL of the bridge's page; empty if there is none
}

// topology returns the names of the nodes and how they are joined.
func (c *cluster) topology() Topology {
	t := Topology{Bridge: c.bridge.NativeAddress().ID.String(), Joined: c.joined(), Page: c.page}
	for _, n := range c.natives() {
		t.Native = append(t.Native, n.name)
	}
	for _, n := range c.libp2ps() {
		t.Libp2p = append(t.Libp2p, n.name)
	}

	return t
}

// joined returns the libp2p node from which each native node has heard over the bridge.
func (c *cluster) joined() map[string]string {
	pairs := make(map[string]string)
	for _, n := range c.natives() {
		remotes, _ := n.reactor.remotes()
		for _, j := range remotes {
			if !c.isNative(j) {
				pairs[n.name] = c.nodes[j].name
			}
		}
	}

	return pairs
}

// legend says what the figures of a run count.
const legend = `Every node sends numbered messages to all others, and passes on what it gets. Below:
  sent        messages that the nodes of a side have begun
  delivered   messages of others that reached them, each counted once for each node
  crossed     frames that came over the bridge
  lost, duplicated, reordered   must be 0, on every link and from end to end

`

// String draws the network, and says which nodes are joined.
func (t Topology) String() string {
	var b strings.Builder
	middle := (len(t.Native) - 1) / 2
	fmt.Fprintf(&b, "%12s %14s%-16s%s\n\n", "native nodes", "", "the bridge", "libp2p nodes")
	for i := range t.Native {
		left, right, bridge := "|", "|", strings.Repeat(" ", 12)
		if i == middle {
			bridge = "[ tm2bridge ]"[:12] + "]"
			left, right = "+---", "---+"
		}
		if i == middle {
			fmt.Fprintf(&b, "%12s ------%s%s%s------ %s\n", t.Native[i], left, bridge, right, t.Libp2p[i])
		} else {
			fmt.Fprintf(&b, "%12s ------%-4s%13s%4s------ %s\n", t.Native[i], left, "", right, t.Libp2p[i])
		}
	}
	b.WriteString("\nThe nodes of each side know each other. Native nodes also dial the bridge, which joins each to one libp2p node:\n")
	for _, name := range t.Native {
		fmt.Fprintf(&b, "  %s <-> %s\n", name, t.Joined[name])
	}
	if t.Page != "" {
		fmt.Fprintf(&b, "The page of the bridge is at %s\n", t.Page)
	}
	b.WriteString("\n")

	return b.String()
}
