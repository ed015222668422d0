// Package peer holds what the PeerConns of all stacks share: what is known of the peer, and
// the values that reactors keep with it.
package peer

import (
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Base is the part of a compat.PeerConn that does not depend on the stack. A
// stack embeds it beside its service.BaseService. All methods may be called
// concurrently.
type Base struct {
	conn   compat.ConnInfo
	node   types.NodeInfo
	remote net.Addr
	values sync.Map // of Set and Get
}

// NewBase returns the Base of one connection. The ID of conn.SocketAddr is the one that the
// remote has proved. Neither conn.SocketAddr nor node.NetAddress may be nil.
func NewBase(conn compat.ConnInfo, node types.NodeInfo, remote net.Addr) *Base {
	return &Base{conn: conn, node: node, remote: remote}
}

// ID implements compat.PeerConn.
func (b *Base) ID() types.ID { return b.conn.SocketAddr.ID }

// RemoteIP implements compat.PeerConn.
func (b *Base) RemoteIP() net.IP { return b.conn.RemoteIP }

// RemoteAddr implements compat.PeerConn.
func (b *Base) RemoteAddr() net.Addr { return b.remote }

// IsOutbound implements compat.PeerConn.
func (b *Base) IsOutbound() bool { return b.conn.Outbound }

// IsPersistent implements compat.PeerConn.
func (b *Base) IsPersistent() bool { return b.conn.Persistent }

// IsPrivate implements compat.PeerConn.
func (b *Base) IsPrivate() bool { return b.conn.Private }

// NodeInfo implements compat.PeerConn.
func (b *Base) NodeInfo() types.NodeInfo { return b.node }

// SocketAddr implements compat.PeerConn.
func (b *Base) SocketAddr() *types.NetAddress { return b.conn.SocketAddr }

// HasChannel reports whether the remote listens on the channel.
func (b *Base) HasChannel(chID byte) bool { return slices.Contains(b.node.Channels, chID) }

// Set implements compat.PeerConn.
func (b *Base) Set(key string, value any) { b.values.Store(key, value) }

// Get implements compat.PeerConn.
func (b *Base) Get(key string) any {
	value, _ := b.values.Load(key)

	return value
}

// Describe names the peer for logs: direction, ID and remote address.
func (b *Base) Describe(stack string) string {
	dir := "in"
	if b.conn.Outbound {
		dir = "out"
	}

	return fmt.Sprintf("%s{%s %s %s}", stack, dir, b.ID(), b.remote)
}
