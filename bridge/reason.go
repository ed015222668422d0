package bridge

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// maxCauses is how many different causes of failed dials a refused node is told.
const maxCauses = 3

// missed is the error of a search in which each target that was tried has failed. Its causes
// name no addresses, so the node may know them.
type missed struct {
	causes []string
	err    error
	unfit  bool // each target says that the node's network, versions or channels do not fit
}

func (m *missed) Error() string {
	return m.told() + ": " + strings.ReplaceAll(m.err.Error(), "\n", "; ")
}
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
	fits := func(err error) bool { return compat.ClassifyDial(err) != compat.DialOtherNetwork }
	m.unfit = last == nil && len(attempts) > 0 && !slices.ContainsFunc(attempts, fits)

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
	case errors.Is(err, errUndeclared):
		return errUndeclared.Error()
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

// logEnd logs the end of a pair whose connections are both made.
func (p *pair) logEnd(end *ending) {
	by, cause := end.told()
	p.tell("pair has ended", by, "native", p.native.peer.ID(), "libp2p", p.libp2p.peer.ID(), "by", by, "reason", cause, "err", end.error)
}

// tell logs what became of the pair. Strangers can open pairs as often as they like, so the log
// sums up theirs.
func (p *pair) tell(msg, reason string, args ...any) {
	if p.stranger {
		p.bridge.refused.Event(slog.LevelInfo, p.from.Addr(), msg, reason, args...)
	} else {
		p.bridge.logger.Info(msg, args...)
	}
}

// The parts of the bridge that end pairs, beside the sides.
const (
	byBridge = "bridge"
	byBlock  = "block" // an operator has blocked one of the nodes
)

// told returns the side whose node or connection has ended the pair, or byBridge or byBlock, and
// why.
func (e *ending) told() (by, cause string) {
	switch {
	case e.by != nil:
	case errors.Is(e.error, errBlockedPair):
		return byBlock, errBlocked.Error()
	default:
		return byBridge, e.Error()
	}

	return e.by.name, endCause(e.error)
}
