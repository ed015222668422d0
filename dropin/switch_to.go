package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

// toSwitch implements gno's Switch with ours.
type toSwitch struct {
	ours  compat.Switch
	peers p2p.PeerSet // a view of ours.Peers()
}

var _ p2p.Switch = toSwitch{}

func newToSwitch(sw compat.Switch) toSwitch { return toSwitch{ours: sw, peers: PeerSet(sw.Peers())} }

// Broadcast implements gno's p2p.Switch. It neither blocks nor copies the message, and keeps
// the order of calls for each peer and channel. It drops an empty message.
func (s toSwitch) Broadcast(chID byte, data []byte) { s.ours.Broadcast(chID, data) }

// Peers implements gno's p2p.Switch. The set is live.
func (s toSwitch) Peers() p2p.PeerSet { return s.peers }

// Subscribe implements gno's p2p.Switch. A nil filter passes all events. The filter must not
// block. The returned function may be called more than once.
func (s toSwitch) Subscribe(filter gnoevents.EventFilter) (<-chan gnoevents.Event, func()) {
	if filter == nil {
		filter = func(gnoevents.Event) bool { return true }
	}
	// Our filter is called synchronously. Converting inside it keeps the order without a
	// goroutine between our channel and gno's.
	gno := gnoevents.New()
	ch, unsubscribe := gno.Subscribe(filter)
	_, oursUnsubscribe := s.ours.Subscribe(func(event events.Event) bool {
		if e := Event(event); e != nil {
			gno.Notify(e)
		}

		return false
	})

	return ch, func() {
		oursUnsubscribe()
		unsubscribe()
	}
}

// StopPeerForError implements gno's p2p.Switch. It ignores nil and peers that the switch
// does not have. A wrapper of a peer stops that peer.
func (s toSwitch) StopPeerForError(peer p2p.PeerConn, err error) {
	s.ours.StopPeerForError(unwrap(peer), err)
}

// unwrap returns the PeerConn under which our switch has a peer or a wrapper of it, which
// shares the peer's values. It makes no counterpart, since the list of counterparts would
// grow with every wrapper that a caller makes.
func unwrap(peer p2p.PeerConn) compat.PeerConn {
	if peer == nil {
		return nil
	}
	if to, ok := peer.(*toPeer); ok {
		return to.PeerConn
	}
	if from, ok := known(peer, keyFrom, (*fromPeer).original); ok {
		return from
	}
	if known, ok := peer.Get(keyTo).([]*toPeer); ok {
		return known[0].PeerConn
	}
	if known, ok := peer.Get(keyFrom).([]*fromPeer); ok {
		return known[0]
	}

	return nil
}

// DialPeers implements gno's p2p.Switch. It skips nil addresses.
func (s toSwitch) DialPeers(addrs ...*gnotypes.NetAddress) {
	s.ours.DialPeers(FromNetAddresses(addrs)...)
}
