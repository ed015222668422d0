package pair

import (
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

// received is what arrived in the measured window.
type received struct {
	Bytes  int64           // of bulk messages
	Urgent []time.Duration // from when each urgent message was due to its receipt
}

// receiver counts messages and answers marks.
type receiver struct {
	tell func(event)

	mtx   sync.Mutex
	got   received
	marks map[int64]int // how many channels a mark has come on
}

// on implements handler.
func (r *receiver) on(_ byte, msg []byte, reply func(byte, []byte) bool) {
	now := clock.Now()
	r.mtx.Lock()
	defer r.mtx.Unlock()
	switch k, a, b := parse(msg); k {
	case kindBulk:
		if now >= time.Duration(a) && now < time.Duration(b) {
			r.got.Bytes += int64(len(msg))
		}
	case kindUrgent:
		if b == 1 {
			r.got.Urgent = append(r.got.Urgent, now-time.Duration(a))
		}
	case kindMark:
		if r.marks == nil {
			r.marks = make(map[int64]int)
		}
		if r.marks[a]++; r.marks[a] < len(channels()) {
			return
		}
		if a == markEnd {
			got := r.got
			r.tell(event{Received: &got})
		}
		reply(chUrgent, message(kindMarked, a, 0, 0)) // without it the dialer waits until its patience ends
	}
}
