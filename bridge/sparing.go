package bridge

import (
	"errors"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// A target that keeps a conduct book charges the bridge's IP for each connection, whoever
// has caused it, and at conduct.MaxPoints refuses the bridge. So strangers may cost half of these
// points at most, and afterwards as many as fade. A minute makes a stranger known, so nodes that are
// known may cost three quarters, together with the strangers. The rest is for configured nodes, and
// for what the pairs that known ones have at that moment cost when they end.
//
// A libp2p target charges the bridge for a connection too, and for each session that follows one
// which has ended, and for one that has broken the protocol. When the last session ends, so does
// the connection.
const (
	mostConns  = conduct.MaxPoints / conduct.ConnPoints
	spareBurst = mostConns / 2       // of strangers
	knownBurst = 3.0 * mostConns / 4 // of all that are not configured
	spareEvery = conduct.ConnPoints * time.Second

	sessionCost = 2.0 * conduct.RefusedPoints / conduct.ConnPoints
	lastCost    = 1 + 1.0*conduct.RefusedPoints/conduct.ConnPoints
)

var errSpared = errors.New("too many nodes have come and gone, and each costs the bridge at the counterparts")

// debt is how many connections of nodes that are not configured a target still holds against the
// bridge. One fades every spareEvery.
type debt struct {
	conns float64
	at    time.Time // when conns was right
}

func (d debt) now() float64 {
	return max(0, d.conns-float64(time.Since(d.at))/float64(spareEvery))
}

// spares reports whether the node gets no connection to the target now. The caller holds the lock.
func (ts *targets) spares(id types.ID, node dialer) bool {
	switch owed := ts.debts[id].now(); {
	case node.stranger:
		return owed > spareBurst-1
	case node.known:
		return owed > knownBurst-1
	default:
		return false
	}
}

// charge adds a connection of the node to the debt of the native target when it is dialed, or takes
// it back when the dial has not reached it. The caller holds the lock.
func (ts *targets) charge(t *target, node dialer, conns float64) {
	if !ts.sessions {
		ts.owe(t, node, conns)
	}
}

// chargeEnd adds what the end of a pair with the libp2p target, or of a dial of it, will cost.
// Nodes that come at the same moment, as after a restart of the bridge, cost nothing before. Pairs
// that may still be in the making do not count as others. For a useful one the target pardons the
// bridge. The caller holds the lock.
func (ts *targets) chargeEnd(t *target, node dialer, o outcome) {
	if !ts.sessions || o == unreachable || time.Since(t.picked) >= conduct.UsefulUptime+*ts.making {
		return
	}
	cost := lastCost
	for other := range ts.inUse.list {
		if other.side == ts && other.addr.ID == t.addr.ID && time.Since(other.picked) >= *ts.making {
			cost = sessionCost
		}
	}
	ts.owe(t, node, cost)
}

// owe adds to the debt of the target, which is no higher than what makes it refuse the bridge. The
// caller holds the lock.
func (ts *targets) owe(t *target, node dialer, conns float64) {
	if ts.debts == nil || !node.stranger && !node.known || netgroup.KindOf(netgroup.FromIP(t.addr.IP)) == netgroup.Loopback {
		return // conduct does not count on this machine
	}
	sum := max(0, ts.debts[t.addr.ID].now()+conns)
	ts.debts[t.addr.ID] = debt{min(sum, mostConns), time.Now()}
}
