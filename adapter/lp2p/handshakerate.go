package lp2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// handshakesPerSecond is how many handshakes and questions a peer may begin in a second, and twice as
// many at once. A peer may begin one for each session that it may have, since a bridge presents many
// nodes that come back together, and that dial again every few seconds while there is no slot.
const handshakesPerSecond = 64

// handshakeRate bounds how many handshakes and questions each libp2p peer begins, however short they
// are. Reconnecting under other keys is bounded with the connections of a host. All methods may be
// called concurrently.
type handshakeRate struct {
	perSecond int

	mtx   sync.Mutex
	peers map[peer.ID]*rate.Limiter
	sweep int // how many peers there are when those that have been quiet are forgotten
}

func newHandshakeRate(sessionsPerPeer int) *handshakeRate {
	return &handshakeRate{perSecond: max(handshakesPerSecond, sessionsPerPeer), peers: make(map[peer.ID]*rate.Limiter)}
}

// allow counts a handshake of the peer, unless it has begun as many as it may.
func (r *handshakeRate) allow(p peer.ID) bool {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	l := r.peers[p]
	if l == nil {
		r.forgetQuiet()
		l = rate.NewLimiter(rate.Limit(r.perSecond), 2*r.perSecond)
		r.peers[p] = l
	}

	return l.Allow()
}

// forgetQuiet forgets the peers that may begin as many handshakes as one that has begun none, which
// is so after two seconds. It looks once for each doubling. The caller holds the lock.
func (r *handshakeRate) forgetQuiet() {
	if len(r.peers) < r.sweep {
		return
	}
	now := time.Now()
	for p, l := range r.peers {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(r.peers, p)
		}
	}
	r.sweep = 2*len(r.peers) + handshakesPerSecond
}
