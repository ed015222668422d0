package adapter

import (
	"math/rand/v2"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The schedule of redials: at once, then after 1, 2, 4, 8, 16 and 30 s. Each wait varies
// by 10 %, so that two nodes which lost each other do not dial in step.
const (
	firstRedial  = time.Second
	maxRedial    = 30 * time.Second
	redialJitter = 0.1

	// stableUptime is how long a connection must have lasted for its loss to restart the
	// schedule. It equals the longest wait, so that a peer which accepts and drops
	// connections is not dialed more often than a dead one.
	stableUptime = maxRedial
)

// redial queues a persistent peer that is not connected, unless it is queued or being
// dialed. Uptime is how long its connection lasted, or zero if there was none. For any
// other peer it only wakes the dial loop, which may dial a seed.
func (sw *MultiplexSwitch) redial(id types.ID, uptime time.Duration) {
	addr, persistent := sw.lists.persistentAddr(id)
	if !persistent || id == sw.self() {
		sw.dials.wake.Set()

		return
	}
	if why := sw.lists.whyBlocked(addr); why != "" {
		sw.Logger.Warn("persistent peer is not dialed, because "+why, "peer", id, "address", addr.DialString())
		sw.dials.wake.Set()

		return
	}
	sw.dials.redial(addr, uptime)
}

func (d *dialer) redial(addr types.NetAddress, uptime time.Duration) {
	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.queueRedial(addr, uptime)
}

// queueRedial is redial. The caller holds the lock.
func (d *dialer) queueRedial(addr types.NetAddress, uptime time.Duration) {
	// A peer that has just become persistent may wait as a hint too.
	d.hints.remove(addr.ID)
	delete(d.others, addr.ID)
	if d.dialing[addr.ID] != nil || d.redials.has(addr.ID) {
		return
	}
	wait := time.Duration(0)
	if uptime >= stableUptime {
		delete(d.failures, addr.ID)
	} else {
		d.failures[addr.ID]++
		wait = redialWait(d.failures[addr.ID])
	}
	d.redials.push(&dial{addr: addr, persistent: true}, time.Now().Add(wait))
	d.wake.Set()
}

// redialWait is the wait before the given redial, counted from 1.
func redialWait(failures uint) time.Duration {
	wait := maxRedial
	if shift := failures - 1; shift < 5 {
		wait = firstRedial << shift
	}

	return wait + time.Duration((2*rand.Float64()-1)*redialJitter*float64(wait))
}
