// Package fakenode is a native node for tests of programs that look at nodes. It is well formed as far as
// the script of a test lets it be, and then does what the script says.
package fakenode

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawnative"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// patience bounds each wait of a node for its peer. No test waits for it to pass.
const patience = time.Minute

// Node is a node that listens.
type Node struct {
	*types.NodeKey
	// At is where it listens.
	At netip.AddrPort
	// Info is what it tells of itself.
	Info wire.NodeInfo
}

// Conn is a connection to the node, for the goroutine of its script.
type Conn struct {
	*rawnative.Peer
	// Number counts the connections of the node from 0.
	Number int

	node *Node
}

// Info is a NodeInfo as real nodes have, with these channels.
func Info(channels ...byte) wire.NodeInfo {
	const rc = "v1.0.0-rc.0"

	return wire.NodeInfo{
		VersionSet: []wire.VersionInfo{{Name: "app", Version: "dev"}, {Name: "p2p", Version: rc}},
		Network:    "fake", Version: rc, Channels: channels, Moniker: "fake",
	}
}

// Start lets a node listen at the IP until the test ends. It tells the NodeInfo, with its own address. serve
// is the script of a connection, which is closed when it returns.
func Start(t testing.TB, ip string, info wire.NodeInfo, serve func(*Conn)) *Node {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	require.NoError(t, err)
	n := &Node{NodeKey: types.GenerateNodeKey(), At: netip.MustParseAddrPort(listener.Addr().String()), Info: info}
	n.Info.NetAddress = types.NetAddressString(n.ID(), n.At.String())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for number := 0; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			wg.Go(func() { n.serve(ctx, conn, number, serve) })
		}
	})
	t.Cleanup(func() {
		cancel()
		require.NoError(t, listener.Close())
		wg.Wait()
	})

	return n
}

// Addr is the address of the node with its ID.
func (n *Node) Addr() string { return n.Info.NetAddress }

func (n *Node) serve(ctx context.Context, conn net.Conn, number int, serve func(*Conn)) {
	p, err := rawnative.New(ctx, conn, n.PrivKey, patience)
	if err != nil {
		panic(err) // the reader of crypto/rand does not fail
	}
	defer p.Close()
	serve(&Conn{Peer: p, Number: number, node: n})
}

// Greet does the whole handshake.
func (c *Conn) Greet() {
	c.Exchange()
	c.Chunks(c.Auth(wire.AuthPlain))
	c.Message(wire.AppendSized(nil, wire.AppendNodeInfo(nil, &c.node.Info)))
	c.ReceiveAuth()
	c.ReceiveNodeInfo()
}

// Serve does the handshake, answers pings, and drops all other packets until the connection ends.
func (c *Conn) Serve() {
	for c.Greet(); c.Failure() == nil; {
		c.AwaitPing()
	}
}
