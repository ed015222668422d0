//go:build gno_add_no_error

package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Add adds a peer. In gno v1.1.0 it replaces one with the same ID.
func (s fromPeerSet) Add(peer compat.PeerConn) { s.gno.Add(PeerConn(peer)) }

// Add ignores a peer whose ID the set already has: gno v1.1.0 has no error for it.
func (s toPeerSet) Add(peer p2p.PeerConn) { _ = s.add(peer) }
