package adapter

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// DefaultSeedUptime is how long a seed node keeps a peer: time for many rounds of
// discovery, since TM2 nodes ask a random peer every 3 s.
const DefaultSeedUptime = time.Minute

// seedRest is how long a seed does not dial a peer that it has hung up, so that it dials
// others first, and how long any node does not dial a peer whose IP is taken. It equals
// CometBFT's wait.
const seedRest = 2 * time.Minute

// errSeedHangUp is the reason for hanging up in seed mode. Remotes take it as transient.
var errSeedHangUp = compat.Reject(compat.RejectUnavailable, "this is a seed node (seed_mode), which hangs up after a while")

// WithSeedMode makes the node a seed, which exists to tell nodes of each other: each peer
// is stopped once it has been connected for uptime, so that its slot is free for others, and
// not dialed for 2 min. Persistent and unconditional peers stay. The node answers discovery,
// and learns, by its discovery reactor or the DHT; it needs no other reactor. An uptime that
// is not positive makes Start fail.
func WithSeedMode(uptime time.Duration) SwitchOption {
	return func(sw *MultiplexSwitch) {
		if uptime <= 0 {
			sw.optionErr = errors.Join(sw.optionErr, fmt.Errorf("uptime %s of the peers of a seed is not positive", uptime))
		}
		sw.seedUptime = uptime
	}
}

// watch stops a peer whose Stop was called directly, not through the switch, and hangs up
// in seed mode. It returns when the connection is removed.
func (sw *MultiplexSwitch) watch(c *connection) {
	var hangUp <-chan time.Time
	if sw.seedUptime > 0 {
		ticker := time.NewTicker(sw.seedUptime) // again and again, since an exempt peer may cease to be so
		defer ticker.Stop()
		hangUp = ticker.C
	}
	for {
		select {
		case <-c.peer.Quit():
			sw.stop(c, errPeerStopped)

			return
		case <-hangUp:
			if !sw.lists.isExempt(c.id) {
				sw.dials.rest(c.id)
				sw.stop(c, errSeedHangUp)
			}
		case <-c.gone:
			return
		}
	}
}

// rest notes that the peer is not to be dialed for a while. At most maxQueuedDials peers rest at a time.
func (d *dialer) rest(id types.ID) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	now := time.Now()
	maps.DeleteFunc(d.hungUp, func(_ types.ID, at time.Time) bool { return now.Sub(at) >= seedRest })
	if len(d.hungUp) < maxQueuedDials {
		d.hungUp[id] = now
	}
}

// rests reports whether rest was called for the peer less than seedRest ago.
func (d *dialer) rests(id types.ID) bool {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	at, ok := d.hungUp[id]

	return ok && time.Since(at) < seedRest
}
