package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// atOnce is how many nodes are tried at a time.
	atOnce = 8
	// clockTolerance is the difference from which on it is told: NTP keeps clocks within a
	// second, and delegations allow for minutes.
	clockTolerance = 10 * time.Second
)

// found is what was found about a node.
type found struct {
	side   string
	addr   types.NetAddress
	lines  []Line
	result *probe.Result
}

// peers tries every configured node, and compares them.
func (r *run) peers(ctx context.Context) {
	var nodes []*found
	for _, side := range []struct {
		name  string
		addrs []*types.NetAddress
	}{{bridge.InitiatorNative, r.bridge.NativePeers}, {bridge.InitiatorLibp2p, r.bridge.Libp2pPeers}} {
		for _, addr := range side.addrs {
			if r.bridge.Blocks(*addr) {
				r.fault(side.name+" node", "take it out of [p2p].blocked_peers or [p2p].blocked_ips, or out of the peers",
					"%s is configured and blocked, so that it is no target", addr)
			}
			nodes = append(nodes, &found{side: side.name, addr: *addr})
		}
	}
	var group sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, n := range nodes {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			n.try(ctx, r.Timeout, r.bridge)
		})
	}
	group.Wait()
	for _, n := range nodes {
		for _, line := range n.lines {
			r.emit(line)
		}
	}
	if len(r.bridge.Libp2pPeers) == 0 && r.bridge.OnlyConfigured {
		r.note("[bridge].libp2p_peers", "it is empty: native nodes that dial the bridge are refused")
	}
	for _, t := range r.bridge.Tunnels {
		if !t.Dialable() {
			r.note("[bridge].tunnels", "%s is not in [bridge].libp2p_peers: native nodes reach it while it keeps a connection to this bridge", t.Node.ID)
		}
	}
	if len(nodes) == 0 && len(r.bridge.Tunnels) == 0 {
		r.fault("peers", "name at least one node in [bridge].libp2p_peers or [p2p].persistent_peers", "no node is configured, so that nobody can be joined")
	}
	r.compare(nodes)
}

// try looks up the host name of the node, and asks who answers there.
func (n *found) try(ctx context.Context, timeout time.Duration, config bridge.Config) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	subject := n.side + " node"
	line := func(verdict, cure, format string, args ...any) {
		n.lines = append(n.lines, Line{Verdict: verdict, Subject: subject, Text: n.addr.String() + " " + fmt.Sprintf(format, args...), Cure: cure})
	}
	if host := n.addr.Hostname; host != "" {
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			line(Fault, "mend the host name, or the resolver of this machine", "cannot be looked up: %v", err)

			return
		}
		if !slices.ContainsFunc(ips, func(ip netip.Addr) bool {
			return !config.Blocks(types.NetAddress{ID: n.addr.ID, IP: ip.Unmap().AsSlice(), Port: n.addr.Port})
		}) {
			line(Fault, "take it out of [p2p].blocked_ips, or mend the host name", "is at %v, which is blocked", ips)

			return
		}
		line(OK, "", "is at %v", ips)
	}
	var err error
	n.result, err = probe.Probe(ctx, n.addr.String())
	if err != nil {
		line(Fault, cureOf(err), "%v", err)

		return
	}
	if !slices.Contains(n.result.Stacks, n.side) {
		line(Fault, "move it to "+otherKey(n.side), "speaks %s, not %s", strings.Join(n.result.Stacks, " and "), n.side)

		return
	}
	line(OK, "", "%s", describe(n.result))
	switch ahead, known := probe.ClockAhead(ctx, n.result); {
	case known && ahead.Abs() > clockTolerance:
		line(Note, "", "has a clock that differs from this machine's by %s, as its RPC server tells: one of them is wrong", ahead)
	case known:
		line(OK, "", "has the time of this machine, to %s", clockTolerance)
	}
	if len(n.result.Stacks) > 1 {
		line(Note, "", "speaks both stacks: nodes of either can dial it without a bridge")
	}
}

// describe says who answered, and how fast.
func describe(r *probe.Result) string {
	parts := []string{"answers on " + strings.Join(r.Stacks, " and ")}
	if r.Dialect != "" {
		parts = append(parts, "dialect "+r.Dialect)
	}
	if r.NodeInfo != nil {
		parts = append(parts, fmt.Sprintf("network %q, version %s, moniker %q", r.NodeInfo.Network, r.NodeInfo.Version, r.NodeInfo.Moniker))
	} else {
		parts = append(parts, "tells no NodeInfo")
	}

	return strings.Join(append(parts, "round trip "+r.ConnectTime.Round(100*time.Microsecond).String()), ", ")
}

func otherKey(side string) string {
	if side == bridge.InitiatorNative {
		return "[bridge].libp2p_peers"
	}

	return "[p2p].persistent_peers"
}

// cureOf says what to do about a probe that failed.
func cureOf(err error) string {
	var wrong *compat.WrongIDError
	switch failure := compat.ClassifyDial(err); {
	case errors.As(err, &wrong):
		return fmt.Sprintf("write %s@%s, if that is the node that you mean", wrong.Found, wrong.Addr)
	case failure == compat.DialUnreachable:
		return "start the node, or mend the address; see whether a firewall is in between"
	case failure == compat.DialTimedOut:
		return "see whether the node runs, and whether a firewall drops packets to it"
	case failure == compat.DialForeign:
		return "mend the port: the p2p port of a node is 26656 by default, 26657 is its RPC"
	default:
		return "look into the log of the node"
	}
}

// compare checks that the nodes of both sides fit together: nodes of different networks
// refuse each other.
func (r *run) compare(nodes []*found) {
	byNetwork := make(map[string][]*found)
	for _, n := range nodes {
		if n.result != nil && n.result.NodeInfo != nil {
			byNetwork[n.result.NodeInfo.Network] = append(byNetwork[n.result.NodeInfo.Network], n)
		}
	}
	networks := make([]string, 0, len(byNetwork))
	for network := range byNetwork {
		networks = append(networks, network)
	}
	slices.SortFunc(networks, func(a, b string) int {
		return cmp.Or(len(byNetwork[b])-len(byNetwork[a]), cmp.Compare(a, b))
	})
	if len(networks) == 1 && len(byNetwork[networks[0]]) > 1 {
		r.ok("network", "all nodes that tell it are of network %q", networks[0])
	}
	for _, network := range networks[min(1, len(networks)):] {
		for _, n := range byNetwork[network] {
			r.fault("network", "take it out, or run a bridge of its own for its network",
				"%s is of network %q, others are of %q: they refuse each other", n.addr.String(), network, networks[0])
		}
	}
	if want := r.config.Bridge.Libp2pNetwork; want != "" && len(networks) > 0 && !slices.Contains(networks, want) {
		r.fault("[bridge].libp2p_network", "write the network that the nodes have", "it is %q, and no configured node is of it", want)
	}
}
