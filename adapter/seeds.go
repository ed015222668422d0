package adapter

import (
	"math/rand/v2"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The waits between two dials of seeds. Each is up to 20 % longer, so that nodes which
// started together do not dial in step.
const (
	seedWait      = 30 * time.Second
	seedWaitAlone = 5 * time.Second // while the node has no peer
	seedJitter    = 0.2

	// seedWaitStalled is how long hints may be dialed without bringing a peer before a seed
	// is dialed all the same. A remote that keeps telling dead addresses must not keep a
	// node from its configured seeds.
	seedWaitStalled = 2 * time.Minute
)

// seeder keeps the time of the last dial of a seed. Only the dial loop uses it.
type seeder struct {
	last    time.Time // zero before the first
	stretch float64   // the jitter of the wait that follows
}

// warnOfBlockedSeeds says which seeds are never dialed.
func (sw *MultiplexSwitch) warnOfBlockedSeeds() {
	for id, addr := range sw.lists.seeds {
		if sw.lists.isBlocked(id) || sw.lists.blocksAddress(addr) {
			sw.Logger.Warn("seed is not dialed, because it is in blocked_peers or its IP in blocked_ips", "peer", id, "address", addr.DialString())
		}
	}
}

// askSeed queues one seed if an outbound slot is free, the wait is over, and no hint waits
// or is dialed, or none has brought a peer for seedWaitStalled. If only the wait is missing
// it returns its end. The other conditions change with the end of a dial or the removal of
// a peer, both of which wake the dial loop.
func (sw *MultiplexSwitch) askSeed(s *seeder) (due time.Time, wanted bool) {
	if len(sw.lists.seeds) == 0 || sw.registry.outboundFull() {
		return time.Time{}, false
	}
	var candidates []types.NetAddress
	for id, addr := range sw.lists.seeds {
		if sw.hintable(id) && !sw.lists.blocksAddress(addr) {
			candidates = append(candidates, addr)
		}
	}
	if len(candidates) == 0 {
		return time.Time{}, false
	}
	wait := seedWait
	if len(sw.peers.connections()) == 0 {
		wait = seedWaitAlone
	}
	due = s.last.Add(time.Duration(s.stretch * float64(wait)))
	if progress, busy := sw.dials.lastProgress(); busy {
		for _, since := range []time.Time{progress, s.last} {
			if stalled := since.Add(seedWaitStalled); stalled.After(due) {
				due = stalled
			}
		}
	}
	now := time.Now()
	if due.After(now) {
		return due, true
	}
	s.last, s.stretch = now, 1+rand.Float64()*seedJitter
	seed := candidates[rand.IntN(len(candidates))]
	sw.Logger.Debug("asking a seed", "peer", seed.ID, "address", seed.DialString())
	sw.dials.hintFirst(seed, sw.lists.unconditional[seed.ID])

	return time.Time{}, false
}
