package harness

import (
	"errors"
	"fmt"
	"time"
)

// broadcast measures a hub that sends to all its leaves. It limits the number of broadcasts
// that have not reached the slowest leaf.
func broadcast(r *Run, nw *Network, stack string) error {
	hub, l, err := nw.start(stack, false, broadcastPeers)
	if err != nil {
		return err
	}
	b := &broadcaster{hub: hub, delivered: l.delivered, msg: make([]byte, broadcastSize)}
	err = b.measure(r)

	return errors.Join(err, hub.Close(), l.stop())
}

type broadcaster struct {
	hub       *Hub
	delivered counters
	msg       []byte
	issued    int64 // broadcasts
	complete  int64 // broadcasts that had reached all leaves when last read
}

func (b *broadcaster) measure(r *Run) error {
	b.send(r.Warmup)
	n0, u0 := b.delivered.sum(), snapshot()
	b.send(r.Window)
	n1, u1 := b.delivered.sum(), snapshot()
	if n0 == n1 {
		return errNothing
	}

	used := u1.sub(u0)
	n := float64(n1 - n0)
	r.Add("delivered_ps", n/used.wall.Seconds())
	r.Add("hub_cpu_us_per_message", used.cpu.Seconds()*1e6/n)
	r.Add("hub_allocs_per_message", float64(used.mallocs)/n)

	err := Await("all broadcasts", func() bool { return b.pending() == 0 })
	if err != nil {
		err = fmt.Errorf("%d of %d broadcasts missing, %d of %d peers left: %w",
			b.pending(), b.issued, b.hub.Peers(), broadcastPeers, err)
	}

	return err
}

// pending returns the number of broadcasts that have not reached all leaves.
func (b *broadcaster) pending() int64 {
	b.complete = b.delivered.least()

	return b.issued - b.complete
}

func (b *broadcaster) send(d time.Duration) {
	for begun := time.Now(); time.Since(begun) < d; {
		if b.issued-b.complete >= broadcastWindow && b.pending() >= broadcastWindow {
			// The counters of the leaves are shared memory, which has no signal.
			time.Sleep(50 * time.Microsecond)

			continue
		}
		b.hub.Broadcast(b.msg)
		b.issued++
	}
}
