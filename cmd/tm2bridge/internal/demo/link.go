package demo

import (
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// outgoing is a frame in a send queue. It gets its link number when it is sent.
type outgoing struct {
	kind   kind
	origin uint16
	key    messageKey
	body   []byte // shared by all copies, never changed
}

// link is one peer of one node: the send queue and the account of received frames.
type link struct {
	peer   compat.PeerConn
	bridge bool // the peer is behind the bridge

	queue  chan outgoing
	closed chan struct{} // closed when the peer is removed
	once   sync.Once

	// The reactor's mutex guards these.
	remote   int                 // index of the peer's node, -1 before its hello
	received map[byte]*linkCheck // by channel
}

func newLink(peer compat.PeerConn, bridge bool, queue int) *link {
	l := &link{
		peer:     peer,
		bridge:   bridge,
		queue:    make(chan outgoing, queue),
		closed:   make(chan struct{}),
		remote:   -1,
		received: make(map[byte]*linkCheck, len(channels)),
	}
	for _, d := range channels {
		l.received[d.ID] = &linkCheck{}
	}

	return l
}

// close ends run.
func (l *link) close() { l.once.Do(func() { close(l.closed) }) }

// run sends the queued frames in order until the link is closed. It calls left for every
// frame that leaves the queue. A frame that Send refuses uses up its number, so that the
// other end counts it as lost.
func (l *link) run(left func(outgoing)) {
	sent := make(map[byte]uint64, len(channels))
	for {
		select {
		case <-l.closed:
			l.drop(left)
			return
		case out := <-l.queue:
			sent[out.key.channel]++
			f := frame{
				kind:    out.kind,
				channel: out.key.channel,
				origin:  out.origin,
				link:    sent[out.key.channel],
				seq:     out.key.seq,
				body:    out.body,
			}
			l.peer.Send(out.key.channel, f.encode()) // a refusal shows as a gap at the other end
			left(out)
		}
	}
}

func (l *link) drop(left func(outgoing)) {
	for {
		select {
		case out := <-l.queue:
			left(out)
		default:
			return
		}
	}
}
