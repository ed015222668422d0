package adapter

import (
	"math/rand/v2"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The waits between two seeds that are asked, each up to 20 % more so that nodes
// that began together do not ask in step.
const (
	seedWait      = 30 * time.Second
	seedWaitAlone = 5 * time.Second // while the node has no peer
	seedJitter    = 0.2

	// seedWaitVain is how long hints are dialed without bringing a peer until a seed
	// is asked all the same: whoever keeps naming dead addresses must not keep a node
	// from those that it was configured with.
	seedWaitVain = 2 * time.Minute
)

// seeder remembers the last round. Only the dial loop uses it.
type seeder struct {
	last    time.Time // zero before the first round
	stretch float64   // the jitter of the wait that follows
}

func newSeeder() *seeder { return &seeder{} }

// due is when the next round may begin.
func (s *seeder) due(alone bool) time.Time {
	wait := seedWait
	if alone {
		wait = seedWaitAlone
	}

	return s.last.Add(time.Duration(s.stretch * float64(wait)))
}

func (s *seeder) note(now time.Time) {
	s.last, s.stretch = now, 1+rand.Float64()*seedJitter
}

// askSeed queues one seed if the switch knows nobody else to dial, or dials in vain,
// has an outbound slot free, and the wait is over; if only the wait is missing it
// returns its end. Whatever else is missing wakes the dial loop when it comes:
// the end of a dial, or the removal of a peer.
func (sw *MultiplexSwitch) askSeed(s *seeder) (due time.Time, wanted bool) {
	if len(sw.seeds) == 0 || sw.registry.outboundFull() {
		return time.Time{}, false
	}
	candidates := sw.seedCandidates()
	if len(candidates) == 0 {
		return time.Time{}, false
	}
	now := time.Now()
	alone := len(sw.peers.connections()) == 0
	due = s.due(alone)
	if vain, busy := sw.dials.vainSince(); busy {
		due = later(due, later(vain, s.last).Add(seedWaitVain))
	}
	if due.After(now) {
		return due, true
	}
	s.note(now)
	seed := candidates[rand.IntN(len(candidates))]
	sw.Logger.Debug("asking a seed", "peer", seed.ID, "address", seed.DialString())
	sw.dials.urge(seed, sw.isUnconditional(seed.ID))

	return time.Time{}, false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}

	return b
}

// seedCandidates are the seeds that may be dialed. A persistent peer has a
// schedule of its own.
func (sw *MultiplexSwitch) seedCandidates() (addrs []types.NetAddress) {
	self := sw.self()
	for id, addr := range sw.seeds {
		if id != self && !sw.isPersistent(id) && !sw.registry.has(id) {
			addrs = append(addrs, addr)
		}
	}

	return addrs
}
