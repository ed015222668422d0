package bridge

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Traffic counts relayed messages and their payload bytes. A message counts while it waits
// for a place in the queue of the far side, and no longer if it gets none.
type Traffic struct {
	Messages uint64
	Bytes    uint64
}

// The sides from which a node can dial the bridge.
const (
	InitiatorNative = "native"
	InitiatorLibp2p = "libp2p"
)

// PairStatus is one coupled pair.
type PairStatus struct {
	NativeID  types.ID // the native node
	Libp2pID  types.ID // the libp2p node
	Initiator string   // InitiatorNative or InitiatorLibp2p
	Since     time.Time
	ToLibp2p  Traffic
	ToNative  Traffic
}

// Status is a snapshot of a bridge; the caller owns it.
type Status struct {
	// Pairs are the pairs that are up, oldest first.
	Pairs []PairStatus
	// ToLibp2p and ToNative count over all pairs since the bridge started.
	ToLibp2p Traffic
	ToNative Traffic
}

// meter counts one direction.
type meter struct{ messages, bytes atomic.Uint64 }

func (m *meter) traffic() Traffic {
	return Traffic{Messages: m.messages.Load(), Bytes: m.bytes.Load()}
}

// Status returns the pairs and the traffic so far. It may be called at any time.
func (b *Bridge) Status() Status {
	s := Status{ToLibp2p: b.toLibp2p.traffic(), ToNative: b.toNative.traffic()}
	for _, p := range b.slots.live() {
		s.Pairs = append(s.Pairs, PairStatus{
			NativeID: p.native.peer.ID(), Libp2pID: p.libp2p.peer.ID(), Initiator: p.initiator, Since: p.since,
			ToLibp2p: p.libp2p.sent.traffic(), ToNative: p.native.sent.traffic(),
		})
	}
	slices.SortFunc(s.Pairs, func(a, b PairStatus) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.NativeID, b.NativeID))
	})

	return s
}
