package demo

import "github.com/tm2-libp2p/tm2-libp2p/compat"

// link is one peer of one node: the send queue and the account of received frames. The
// reactor's mutex guards all fields except peer and bridge.
type link struct {
	peer   compat.PeerConn
	bridge bool // the peer is behind the bridge

	queue    chan frame            // closed when the peer is removed
	remote   int                   // index of the peer's node, -1 before its hello
	received map[byte]*numberCheck // link numbers, by channel
	finished map[byte]bool         // channels whose closing frame has arrived
}

func newLink(peer compat.PeerConn, bridge bool, queue int) *link {
	return &link{
		peer:     peer,
		bridge:   bridge,
		queue:    make(chan frame, queue),
		remote:   -1,
		received: newNumberChecks(),
		finished: make(map[byte]bool, len(channels)),
	}
}

// run numbers and sends the queued frames in order until the queue is closed and empty. It
// calls left for every frame that leaves the queue. A frame that Send refuses uses up its
// number, so that the other end counts it as lost.
func (l *link) run(left func(frame)) {
	sent := make(map[byte]uint64, len(channels))
	for f := range l.queue {
		sent[f.channel]++
		f.link = sent[f.channel]
		l.peer.Send(f.channel, f.encode()) // a refusal shows as a gap at the other end
		left(f)
	}
}
