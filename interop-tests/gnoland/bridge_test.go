package gnoland

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// relay is a tm2bridge with a home of its own.
type relay struct {
	process
	home           string
	id             string
	env            []string
	native, libp2p int // ports of 127.0.0.1
}

// newRelay makes the home of a bridge between nodes. Each list may be empty.
func (net *network) newRelay(t *testing.T, native, libp2p []*node) *relay {
	t.Helper()
	r := &relay{home: filepath.Join(net.dir, "bridge"), native: freePort(t), libp2p: freePort(t)}
	r.log = logFile(t, "bridge")
	shown := command(t, nil, "", bridge, "init", "--home", r.home)
	id := regexp.MustCompile(`TM2 ID +(\S+)`).FindStringSubmatch(shown)
	require.NotNil(t, id, shown)
	r.id = id[1]
	r.env = []string{
		fmt.Sprintf("TM2BRIDGE_P2P_LADDR=tcp://127.0.0.1:%d", r.native),
		fmt.Sprintf("TM2BRIDGE_BRIDGE_LIBP2P_LADDR=tcp://127.0.0.1:%d", r.libp2p),
		fmt.Sprintf("TM2BRIDGE_HTTP_LADDR=tcp://127.0.0.1:%d", freePort(t)),
		"TM2BRIDGE_P2P_PERSISTENT_PEERS=" + addresses(native...),
		"TM2BRIDGE_BRIDGE_LIBP2P_PEERS=" + addresses(libp2p...),
		"TM2BRIDGE_P2P_ALLOW_DUPLICATE_IP=true", // all nodes of these tests share one IP
	}

	return r
}

func (r *relay) run(t *testing.T) {
	t.Helper()
	r.start(t, r.env, bridge, "start", "--home", r.home)
}

func (r *relay) nativeAddress() string { return fmt.Sprintf("%s@127.0.0.1:%d", r.id, r.native) }

func (r *relay) libp2pAddress() string { return fmt.Sprintf("%s@127.0.0.1:%d", r.id, r.libp2p) }

// TestBridge lets two stock validators and two that speak only libp2p make blocks through
// nothing but a bridge. Neither side has a majority.
func TestBridge(t *testing.T) {
	net := newNetwork(t, nil)
	a, b := net.newNode(t, "stock"), net.newNode(t, "stock")
	c, d := net.newNode(t, "libp2p"), net.newNode(t, "libp2p")
	bridge := net.newRelay(t, []*node{a, b}, []*node{c, d})
	a.set(t, "p2p.persistent_peers", bridge.nativeAddress())
	b.set(t, "p2p.persistent_peers", bridge.nativeAddress()+","+a.address())
	d.set(t, "p2p.persistent_peers", c.address())
	net.makeGenesis(t, net.nodes...)
	for _, n := range net.nodes {
		n.run(t)
	}
	bridge.run(t)
	var rows [][]string
	step := func(what string, start time.Time) {
		rows = append(rows, []string{what, seconds(time.Since(start)), fmt.Sprint(net.agree(t))})
		t.Log(rows[len(rows)-1])
	}
	start := time.Now()
	net.grow(t, 2)
	for _, n := range []*node{a, c} {
		height, hash := n.send(t, "through "+n.name)
		net.agreeOn(t, height, hash)
	}
	step("first blocks, and a transaction from each side on all nodes", start)

	for _, stack := range []string{"stock", "libp2p"} {
		start = time.Now()
		joiner := net.newNode(t, stack)
		joiner.set(t, "p2p.pex", "false")
		peer := bridge.nativeAddress()
		if stack == "libp2p" {
			peer = bridge.libp2pAddress()
		}
		joiner.set(t, "p2p.persistent_peers", peer)
		joiner.run(t)
		joiner.waitHeight(t, a.height())
		step("a full node on "+stack+" that knows only the bridge has all blocks", start)
	}

	bridge.kill(t)
	halted := a.height()
	require.Never(t, func() bool { return net.top() > halted+1 }, 5*time.Second, 500*time.Millisecond)
	start = time.Now()
	bridge.run(t)
	net.grow(t, 1)
	step("next block after the bridge was killed, and started 5 s later", start)

	for _, n := range []*node{a, b, c, d} {
		n.kill(t)
		start = time.Now()
		n.run(t)
		n.waitUntil(t, "RPC", func() bool { return n.height() > 0 })
		net.grow(t, 2)
		step("validator "+n.name+" ("+n.stack+") was killed, came back and has two new blocks", start)
	}
	for _, n := range net.nodes {
		n.stop(t)
	}
	bridge.stop(t)
	written.table("Two stock and two libp2p validators, joined by a bridge",
		"gnoland's default configuration, except that nodes of one IP are allowed. Block and app hash are the same on all nodes at each height.",
		[]string{"Step", "Took", "Height then"}, rows)
}
