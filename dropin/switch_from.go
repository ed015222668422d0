package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

type fromSwitch struct{ gno p2p.Switch }

var _ compat.Switch = fromSwitch{}

// FromSwitch converts a switch from gno's type. The result keeps only the promises of gno's
// switch, which are fewer than those of compat.Switch.
func FromSwitch(sw p2p.Switch) compat.Switch { return fromSwitch{gno: sw} }

func (s fromSwitch) Broadcast(chID byte, data []byte) { s.gno.Broadcast(chID, data) }

func (s fromSwitch) Peers() compat.PeerSet { return FromPeerSet(s.gno.Peers()) }

// Subscribe converts events inside gno's filter, which gno calls synchronously, so that no
// goroutine is needed between gno's channel and ours.
func (s fromSwitch) Subscribe(filter events.EventFilter) (<-chan events.Event, func()) {
	ours := events.New()
	ch, unsubscribe := ours.Subscribe(filter)
	_, gnoUnsubscribe := s.gno.Subscribe(func(event gnoevents.Event) bool {
		if e := FromEvent(event); e != nil {
			ours.Notify(e)
		}

		return false
	})

	return ch, func() {
		gnoUnsubscribe()
		unsubscribe()
	}
}

func (s fromSwitch) StopPeerForError(peer compat.PeerConn, err error) {
	s.gno.StopPeerForError(PeerConn(peer), err)
}

func (s fromSwitch) DialPeers(addrs ...*types.NetAddress) {
	s.gno.DialPeers(NetAddresses(addrs)...)
}
