package chain

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	cstypes "github.com/gnolang/gno/tm2/pkg/bft/consensus/types"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
	"github.com/gnolang/gno/tm2/pkg/events"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

// event is a line that a node says to its parent. One of the fields is set.
type event struct {
	Started   bool    `json:",omitempty"`
	Proposing *moment `json:",omitempty"` // it begins to make a proposal
	Committed *moment `json:",omitempty"`
	Peers     *int    `json:",omitempty"`
	Failed    string  `json:",omitempty"`
}

// moment is what a node did when.
type moment struct {
	Height int64
	Round  int
	At     time.Duration // clock.Now
	Bytes  int           // of a committed block
}

func (e event) line() string {
	line, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("event %+v: %v", e, err)) // events are plain data
	}

	return string(line)
}

// parseEvent returns the event of a line. Other lines are failures: nodes say nothing else.
func parseEvent(line string) event {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		return event{Failed: fmt.Sprintf("unexpected output %q: %v", line, err)}
	}

	return e
}

// onEvent is called with each event of the node's reactors.
func (n *node) onEvent(e events.Event) {
	switch e := e.(type) {
	case cstypes.EventNewRound:
		if e.Proposer.Address == n.priv.PubKey().Address() {
			n.tell(event{Proposing: &moment{Height: e.Height, Round: e.Round, At: clock.Now()}})
		}
	case types.EventNewBlock:
		n.load.wake()
		m := moment{Height: e.Block.Height, At: clock.Now(), Bytes: e.Block.Size()}
		if seen := n.validator.Store.LoadSeenCommit(e.Block.Height); seen != nil {
			m.Round = seen.Round()
		}
		n.tell(event{Committed: &m})
	}
}

// watch is a reactor without channels that tells how many peers there are.
type watch struct {
	p2p.BaseReactor

	tell func(event)

	mtx   sync.Mutex
	peers int
}

func newWatch(tell func(event)) *watch {
	w := &watch{tell: tell}
	w.BaseReactor = *p2p.NewBaseReactor("Watch", w)

	return w
}

// GetChannels implements p2p.Reactor.
func (w *watch) GetChannels() []*conn.ChannelDescriptor { return nil }

// AddPeer implements p2p.Reactor.
func (w *watch) AddPeer(p2p.PeerConn) { w.change(1) }

// RemovePeer implements p2p.Reactor.
func (w *watch) RemovePeer(p2p.PeerConn, any) { w.change(-1) }

func (w *watch) change(by int) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	w.peers += by
	peers := w.peers
	w.tell(event{Peers: &peers})
}
