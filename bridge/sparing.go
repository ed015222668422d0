package bridge

import (
	"errors"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// A native target that keeps a conduct book charges the bridge's IP for each connection, whoever
// has caused it, and at conduct.MaxPoints refuses the bridge. So strangers may cost half of these
// points at most, and afterwards as many as fade. The rest is for nodes that are known.
const (
	spareBurst = conduct.MaxPoints / conduct.ConnPoints / 2
	spareEvery = conduct.ConnPoints * time.Second
)

var errSpared = errors.New("too many strangers have come and gone, and each costs the bridge at the counterparts")

// debt is how many connections of strangers a target still holds against the bridge. One fades
// every spareEvery.
type debt struct {
	conns float64
	at    time.Time // when conns was right
}

func (d debt) now() float64 {
	return max(0, d.conns-float64(time.Since(d.at))/float64(spareEvery))
}

// spares reports whether strangers get no connection to the native target now. The caller holds
// the lock.
func (ts *targets) spares(id types.ID) bool { return ts.debts[id].now() > spareBurst-1 }

// charge adds a connection of the node to the debt of the target when it is dialed, or takes it back
// when the dial has not reached it. The caller holds the lock.
func (ts *targets) charge(t *target, node dialer, conns float64) {
	if ts.debts == nil || !node.stranger || netgroup.KindOf(netgroup.FromIP(t.addr.IP)) == netgroup.Loopback {
		return // conduct does not count on this machine
	}
	ts.debts[t.addr.ID] = debt{max(0, ts.debts[t.addr.ID].now()+conns), time.Now()}
}
