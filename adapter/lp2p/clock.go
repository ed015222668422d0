package lp2p

import (
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
)

const (
	// clockTolerance is by how much clocks may differ: NTP keeps them within a second.
	clockTolerance = time.Minute
	// clockWarnings is the least time between two warnings.
	clockWarnings = time.Hour
)

// clock compares this node's clock with those of its peers, as far as these show. All
// methods may be called concurrently.
//
//   - The signed peer record in identify has the time at which it was made (libp2p RFC
//     0003, peer.TimestampSeq). It may be old, so that it only shows that this node's clock
//     is slow: when it comes from the future.
//   - A delegation has the time at which it was made, just before (docs/sessions.md).
//   - Whoever refuses a delegation of this node says by how much the clocks differ. A bridge
//     hears of its own clock in no other way if that is fast. Whoever accepts one says that
//     they differ by less than control.DelegationLife.
type clock struct {
	logger *slog.Logger

	mtx    sync.Mutex
	says   votes[clockState]
	warned time.Time
}

// clockState is what a peer shows of this node's clock.
type clockState int8

const (
	clockRight clockState = iota
	clockSlow
	clockFast
)

func newClock(logger *slog.Logger) *clock {
	return &clock{logger: logger, says: make(votes[clockState])}
}

// noteRecord looks at the signed peer record of a peer in the network.
func (c *clock) noteRecord(network netip.Prefix, signed *record.Envelope, now time.Time) {
	if signed == nil {
		return
	}
	r, err := signed.Record()
	if err != nil {
		return // libp2p has checked it
	}
	if p, ok := r.(*peer.PeerRecord); ok && p.Seq <= math.MaxInt64 {
		if ahead := time.Unix(0, int64(p.Seq)).Sub(now); ahead > clockTolerance {
			c.note(network, ahead, now)
		}
	}
}

// noteDelegation looks at a delegation of a peer in the network.
func (c *clock) noteDelegation(network netip.Prefix, d *control.Delegation, now time.Time) {
	c.note(network, d.Ahead(now), now)
}

// noteRefusal looks at the text by which a peer in the network has refused a delegation.
func (c *clock) noteRefusal(network netip.Prefix, text string, now time.Time) {
	if ahead, ok := control.SkewIn(text); ok {
		c.note(network, -ahead, now)
	}
}

// noteAcceptance notes that a peer in the network has accepted a delegation. What the network has
// shown in another way is more exact, and stays.
func (c *clock) noteAcceptance(network netip.Prefix, now time.Time) {
	if !network.IsValid() {
		return
	}
	c.mtx.Lock()
	defer c.mtx.Unlock()
	said, known := c.says[network]
	if !known || said.value == clockRight || now.Sub(said.at) >= voteLife {
		c.says.add(network, clockRight, now)
	}
}

// note notes by how much the clock of a peer in the network is ahead of this node's, and
// warns if several networks agree that this one is wrong.
func (c *clock) note(network netip.Prefix, ahead time.Duration, now time.Time) {
	if !network.IsValid() {
		return
	}
	state, name := clockRight, ""
	switch {
	case ahead > clockTolerance:
		state, name = clockSlow, "slow"
	case ahead < -clockTolerance:
		state, name = clockFast, "fast"
	}
	c.mtx.Lock()
	defer c.mtx.Unlock()
	if !c.says.add(network, state, now) || state == clockRight || now.Sub(c.warned) < clockWarnings {
		return
	}
	c.warned = now
	c.logger.Warn("peers of several networks agree that the clock of this node is wrong: set it by NTP",
		"clock", name, "by about", ahead.Abs().Round(time.Second), "delegated sessions fail beyond", control.DelegationLife)
}
