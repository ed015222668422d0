package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

// toSwitch is our switch as gno's.
type toSwitch struct {
	ours  compat.Switch
	peers p2p.PeerSet // a view, like that of the switch
}

var _ p2p.Switch = toSwitch{}

func newToSwitch(sw compat.Switch) toSwitch { return toSwitch{ours: sw, peers: PeerSet(sw.Peers())} }

// Broadcast implements gno's p2p.Switch: it neither blocks nor copies the message,
// and keeps the order of calls for each peer and channel. An empty message is
// dropped.
func (s toSwitch) Broadcast(chID byte, data []byte) { s.ours.Broadcast(chID, data) }

// Peers implements gno's p2p.Switch. The set is live.
func (s toSwitch) Peers() p2p.PeerSet { return s.peers }

// Subscribe implements gno's p2p.Switch; a nil filter passes all events. It
// converts inside our filter, which runs where the event happens: no goroutine is
// needed between our channel and gno's, and the order is kept. The filter must not
// block. The returned function may be called more than once.
func (s toSwitch) Subscribe(filter gnoevents.EventFilter) (<-chan gnoevents.Event, func()) {
	if filter == nil {
		filter = func(gnoevents.Event) bool { return true }
	}
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

// StopPeerForError implements gno's p2p.Switch. A nil peer, and one that the
// switch does not have, are ignored. A PeerConn that somebody has put around the
// peer stands for it.
func (s toSwitch) StopPeerForError(peer p2p.PeerConn, err error) {
	s.ours.StopPeerForError(behind(peer), err)
}

// behind is what our switch knows a peer by. It makes no counterpart: a caller may
// put a new PeerConn around the same peer each time. All of these share its values.
func behind(peer p2p.PeerConn) compat.PeerConn {
	if peer == nil {
		return nil
	}
	if to, ok := peer.(*toPeer); ok {
		return to.PeerConn
	}
	if from := knownFrom(peer); from != nil {
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

// DialPeers implements gno's p2p.Switch; nil addresses are skipped.
func (s toSwitch) DialPeers(addrs ...*gnotypes.NetAddress) {
	s.ours.DialPeers(FromNetAddresses(addrs)...)
}
