//go:build !gno_add_no_error

package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Add ignores gno's error, which means that the set already has the ID.
func (s fromPeerSet) Add(peer compat.PeerConn) { _ = s.gno.Add(PeerConn(peer)) }

// Add returns an error that wraps ErrPeerInSet when the set already has the ID, as in gno.
func (s toPeerSet) Add(peer p2p.PeerConn) error { return s.add(peer) }
