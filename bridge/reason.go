package bridge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// maxCauses is how many different causes of failed dials a refused node is told.
	maxCauses = 3
	// maxEnds is how many ends of pairs are remembered.
	maxEnds = 64
)

// missed is the error of a search in which each target that was tried has failed. Its causes
// name no addresses, so the node may know them.
type missed struct {
	causes []string
	err    error
}

func (m *missed) Error() string   { return m.told() + ": " + m.err.Error() }
func (m *missed) Unwrap() []error { return []error{errNoCounterpart, m.err} }

// told is what the node learns.
func (m *missed) told() string {
	if len(m.causes) == 0 {
		return errNoCounterpart.Error()
	}

	return fmt.Sprintf("%v (%s)", errNoCounterpart, strings.Join(m.causes, "; "))
}

// newMissed joins the errors of the attempts. last is that of the context, or nil.
func newMissed(attempts []error, last error) *missed {
	m := &missed{err: errors.Join(append(slices.Clone(attempts), last)...)}
	for _, err := range attempts {
		if c := dialCause(err); len(m.causes) < maxCauses && !slices.Contains(m.causes, c) {
			m.causes = append(m.causes, c)
		}
	}

	return m
}

// dialCause says why a dial failed: in the words of the node that has refused it, else by its
// kind.
func dialCause(err error) string {
	var reject *compat.RejectError
	if errors.As(err, &reject) && reject.Reason != "" {
		return fmt.Sprintf("%s: %s", reject.Code, reject.Reason)
	}

	return compat.ClassifyDial(err).String()
}

// endCause says why a node has ended its connection: in its own words if it gave some. It
// names no addresses, which errors of sockets do.
func endCause(err error) string {
	var (
		goodbye *lp2p.GoodbyeError
		reject  *compat.RejectError
		timeout net.Error
	)
	switch {
	case errors.As(err, &goodbye) && goodbye.Text != "":
		return fmt.Sprintf("%s: %s", goodbye.Code, goodbye.Text)
	case errors.As(err, &reject):
		return fmt.Sprintf("%s: %s", reject.Code, reject.Reason)
	case errors.As(err, &goodbye):
		return "it has ended the session"
	case errors.Is(err, compat.ErrViolation):
		return "it has broken the protocol"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it has closed the connection"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it no longer answers"
	default:
		return "its connection has failed"
	}
}

// reasonFor is what a side is told about the end of the pair. Only a libp2p node can be told:
// the native protocol has no reasons.
func (e *ending) reasonFor(s *side) error {
	if e.by != s.other() {
		return e.error
	}

	return compat.Reject(compat.RejectUnspecified, "the %s node behind the bridge: %s", e.by.name, endCause(e.error))
}

// PairEnd tells how a pair has ended.
type PairEnd struct {
	NativeID  types.ID
	Libp2pID  types.ID
	Initiator string // InitiatorNative or InitiatorLibp2p
	At        time.Time
	Lasted    time.Duration
	By        string // the side whose node or connection ended it, by the same names; empty: the bridge
	Reason    string // for people; may contain what a node has said, in printable ASCII
}

// ends are the last ends of pairs.
type ends struct {
	mtx  sync.Mutex
	list []PairEnd
}

func (e *ends) add(end PairEnd) {
	e.mtx.Lock()
	defer e.mtx.Unlock()
	if len(e.list) == maxEnds {
		e.list = slices.Delete(e.list, 0, 1)
	}
	e.list = append(e.list, end)
}

// RecentEnds returns how the last pairs have ended, 64 at most, the latest last. The slice is
// the caller's. It may be called at any time.
func (b *Bridge) RecentEnds() []PairEnd {
	b.ends.mtx.Lock()
	defer b.ends.mtx.Unlock()

	return slices.Clone(b.ends.list)
}

// noteEnd logs the end of a pair whose connections are both made, and remembers it.
func (p *pair) noteEnd(end *ending) {
	e := PairEnd{
		NativeID: p.native.peer.ID(), Libp2pID: p.libp2p.peer.ID(), Initiator: p.initiator,
		At: time.Now(), Lasted: time.Since(p.since), Reason: end.Error(),
	}
	by := "bridge"
	if end.by != nil {
		by = end.by.name
		e.By, e.Reason = by, endCause(end.error)
	}
	if end.by == p.dialed {
		p.bridge.noteCopy(p, end.error) // a target may see that it has the node only after its accept
	}
	p.bridge.ends.add(e)
	p.bridge.logger.Info("pair has ended", "native", e.NativeID, "libp2p", e.Libp2pID, "by", by, "reason", e.Reason, "err", end.error)
}
