package bridge

import (
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// A native target that keeps a conduct book charges the bridge's IP for each connection that
// ends early, whoever has caused it, and at conduct.MaxPoints refuses the bridge. So strangers
// that keep coming and going may cost half of these points at most, and afterwards as many as
// fade. The rest is for nodes that are known.
const (
	spareBurst = conduct.MaxPoints / conduct.ConnPoints / 2
	spareEvery = conduct.ConnPoints * time.Second
)

var errSpared = errors.New("too many strangers have come and gone, and each costs the bridge at the counterparts")

// spares reports whether strangers get no connection to the native target now. The caller holds
// the lock.
func (ts *targets) spares(id types.ID) bool {
	spent := ts.spent[id]

	return spent != nil && spent.Tokens() < 1
}

// spend notes that a connection to the target which a node had caused has shown the outcome. The
// caller holds the lock.
func (ts *targets) spend(t *target, node dialer, o outcome) {
	switch {
	case ts.spent == nil, !node.stranger, o == unreachable, o == kept, o == nodeLeft:
		return
	case netgroup.KindOf(netgroup.FromIP(t.addr.IP)) == netgroup.Loopback:
		return // conduct does not count there
	case ts.spent[t.addr.ID] == nil:
		ts.spent[t.addr.ID] = rate.NewLimiter(rate.Every(spareEvery), spareBurst)
	}
	// Of strangers that come at the same moment more get through than there are tokens, since none
	// has shown its outcome. Those are a debt, so that the next ones wait longer.
	ts.spent[t.addr.ID].Reserve()
}
