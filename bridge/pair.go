package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

var (
	errBridgeStopped = errors.New("bridge is stopping")
	errNotTaken      = errors.New("message was not taken")
	errUndeclared    = errors.New("it has sent on a channel that its NodeInfo does not have")
)

// pair couples a native connection with a libp2p session. It runs until one of
// them ends, then ends the other.
type pair struct {
	claim
	host netip.Prefix // see dialer
	from netip.Prefix // the host of the node that has dialed the bridge
	// stranger and known are those of the dialer, when it came.
	stranger, known bool

	bridge *Bridge
	since  time.Time
	native *side
	libp2p *side
	dialed *side // that of the target: libp2p if the initiator is native
	target *target

	ctx    context.Context // of the pair and the search for it; its cause is an *ending
	cancel context.CancelCauseFunc

	ready chan struct{} // closed when both connections are started
	gone  chan struct{} // closed when nothing of the pair is left
	left  chan struct{} // that of its search; may be nil
	room  chan struct{} // closed when the node that has given way to this one is gone; nil if none has
}

// dialer returns the node that has dialed the bridge.
func (p *pair) dialer() dialer { return dialer{p.id, p.host, p.at, p.from, p.stranger, p.known} }

// ending says why a pair has ended.
type ending struct {
	error
	by *side // the side that failed; nil if the bridge ended the pair
}

// replaced reports whether the node has opened another pair.
func (e *ending) replaced() bool {
	reject, ok := errors.AsType[*compat.RejectError](e.error)

	return e.by == nil && ok && reject.Code == compat.RejectDuplicate
}

// side is one of the two connections of a pair. It implements compat.PeerBehavior, and is
// the reactor of its channels.
type side struct {
	compat.BaseReactor

	pair     *pair
	name     string
	targets  *targets
	self     types.ID // the ID that the node of this side sees
	channels []*compat.ChannelDescriptor
	reactors map[byte]compat.Reactor
	peer     compat.PeerConn
	sent     meter        // relayed to this side
	total    *meter       // the same over all pairs
	stuck    atomic.Int32 // messages that wait longer than compat.SendTimeout
	relayed  atomic.Int64 // when the last message was relayed to this side, in Unix nanoseconds

	// Of discovery:
	requests *rate.Limiter
	complain sync.Once    // logs an invalid message
	asked    atomic.Int64 // when the bridge asked, in Unix nanoseconds; 0 if no answer is due
}

func (b *Bridge) newPair(initiator string) *pair {
	p := &pair{bridge: b, since: time.Now(), ready: make(chan struct{}), gone: make(chan struct{})}
	p.initiator = initiator
	p.ctx, p.cancel = context.WithCancelCause(b.ctx)
	p.native = p.newSide(InitiatorNative, b.nativeTargets, &b.toNative)
	p.libp2p = p.newSide(InitiatorLibp2p, b.libp2pTargets, &b.toLibp2p)
	p.dialed = p.libp2p
	if initiator == InitiatorLibp2p {
		p.dialed = p.native
	}

	return p
}

func (p *pair) newSide(name string, targets *targets, total *meter) *side {
	s := &side{pair: p, name: name, targets: targets, total: total}
	s.requests = rate.NewLimiter(rate.Every(requestInterval), requestBurst)
	s.BaseReactor = *compat.NewBaseReactor("bridge", s)

	return s
}

// listen registers the channels on which this side may receive.
func (s *side) listen(descs []*compat.ChannelDescriptor) {
	s.channels = descs
	s.reactors = make(map[byte]compat.Reactor, len(descs))
	for _, d := range descs {
		s.reactors[d.ID] = s
	}
}

// other returns the side to which messages of this side go.
func (s *side) other() *side {
	if s == s.pair.native {
		return s.pair.libp2p
	}

	return s.pair.native
}

// ReactorChDescriptors implements compat.PeerBehavior.
func (s *side) ReactorChDescriptors() []*compat.ChannelDescriptor { return s.channels }

// Reactors implements compat.PeerBehavior.
func (s *side) Reactors() map[byte]compat.Reactor { return s.reactors }

// HandlePeerError implements compat.PeerBehavior by ending the pair.
func (s *side) HandlePeerError(_ compat.PeerConn, err error) {
	s.pair.bridge.gate.blame(s, err)
	s.pair.end(s, fmt.Errorf("%s side: %w", s.name, err))
}

// IsPersistentPeer implements compat.PeerBehavior. The node that dialed redials.
func (*side) IsPersistentPeer(types.ID) bool { return false }

// IsPrivatePeer implements compat.PeerBehavior.
func (s *side) IsPrivatePeer(id types.ID) bool {
	return slices.Contains(s.pair.bridge.config.PrivatePeers, id)
}

// Receive implements compat.Reactor: it hands the message to the other side. It returns
// when that side's queue has taken it, which holds back this side, or when the pair ends:
// no message may be left out, and a reactor may be busy as long as both connections live.
func (s *side) Receive(chID byte, _ compat.PeerConn, msg []byte) {
	select {
	case <-s.pair.ready:
	case <-s.pair.ctx.Done():
	}
	if s.pair.ctx.Err() != nil { // a message must not pass when one before it did not
		return
	}
	begin := time.Now()
	if chID == discoveryChannel {
		s.receiveDiscovery(msg)

		return
	}
	to := s.other()
	if to.reactors[chID] == nil { // its connection has no such channel, and would never take it
		s.pair.end(s, fmt.Errorf("%s side: %w: %#02x", s.name, errUndeclared, chID))

		return
	}
	to.count(1, len(msg)) // before the far node has it, which may then ask for the status
	if err := to.send(chID, bytes.Clone(msg)); err != nil {
		to.count(-1, -len(msg))
		if to.stuck.Load() > 0 || s.pair.ctx.Err() == nil { // else the pair has ended for another reason
			s.pair.bridge.journal.meterOf(to.name).drop(chID)
		}
		s.pair.end(nil, fmt.Errorf("%w: %d bytes on channel %#02x from the %s side to %s",
			err, len(msg), chID, s.name, to.peer.ID()))

		return
	}
	s.pair.bridge.journal.meterOf(to.name).relayed(chID, len(msg), time.Since(begin))
}

// send returns when the peer has taken the message, or with an error when the pair has
// ended or has to end. A peer that refuses at once is ending: it gets compat.SendTimeout to
// say why, and to deliver what it has taken before.
func (s *side) send(chID byte, msg []byte) error {
	for stuck := int32(0); ; stuck = 1 {
		begin := time.Now()
		if s.peer.Send(chID, msg) {
			s.stuck.Add(-stuck)

			return nil
		}
		left := time.Until(begin.Add(compat.SendTimeout))
		if left > 0 && !task.WaitFor(s.pair.ctx.Done(), left) || s.pair.ctx.Err() != nil {
			return errNotTaken
		}
		s.stuck.Add(1 - stuck)
	}
}

// count adds to what is relayed to this side, or takes back what was not taken.
func (s *side) count(messages, bytes int) {
	s.relayed.Store(time.Now().UnixNano())
	for _, m := range []*meter{&s.sent, s.total} {
		m.messages.Add(uint64(messages))
		m.bytes.Add(uint64(bytes))
	}
}

// end records why the pair ends; only the first call counts. It does not block.
func (p *pair) end(by *side, err error) { p.cancel(&ending{err, by}) }

// ending returns why the pair has ended. The end of the bridge ends all pairs.
func (p *pair) ending() *ending {
	if e, ok := context.Cause(p.ctx).(*ending); ok {
		return e
	}

	return &ending{error: compat.Reject(compat.RejectClosing, "%v", errBridgeStopped)}
}

// outcome returns what the pair, which has ended, shows about its target.
func (p *pair) outcome() outcome {
	by, lasted := p.ending().by, time.Since(p.since)
	early := lasted < minUptime
	switch byNode := by == p.dialed.other(); {
	case p.dialed.stuck.Load() > 0, by == p.dialed && early:
		return faulty
	case by == p.dialed && lasted < conduct.UsefulUptime && !p.target.configured:
		return dropped
	case byNode && early:
		return nodeLeftEarly
	case byNode:
		return nodeLeft
	case early:
		return unknown
	default:
		return kept
	}
}

// release gives back the target of the pair, which has ended. One that shuts down forgets what the
// bridge has cost it.
func (p *pair) release() {
	if end := p.ending(); end.by == p.dialed && compat.ClassifyDial(end.error) == compat.DialClosing {
		p.dialed.targets.refund(p.target)
	}
	p.dialed.targets.release(p.target, p.outcome())
}

// run starts both connections and ends both when one has ended.
func (p *pair) run() {
	if p.ctx.Err() == nil {
		p.begin()
	}
	<-p.ctx.Done()

	end := p.ending()
	p.bridge.gate.ended(p) // first, since the node may dial again while the other one is flushed
	if (p.bridge.ctx.Err() != nil || errors.Is(end.error, errMoves)) && p.isUp() {
		defer p.flush(end)()
	}
	for _, s := range []*side{p.native, p.libp2p} {
		if end.by == s.other() {
			s.flush(end.reasonFor(s)) // sends what it has taken
		}
		s.drop(s.peer, end.reasonFor(s))
	}
	if end.by == p.dialed {
		p.bridge.noteCopy(p, p.dialed.peer.ID(), end.error) // a target may see that it has the node only after its accept
	}
	if p.isUp() {
		p.bridge.journal.down(p, end, end.by == p.dialed && p.targetDialsBridge())
	}
	p.logEnd(end)
}

func (p *pair) begin() {
	for _, s := range []*side{p.libp2p, p.native} {
		if err := s.peer.Start(); err != nil {
			p.end(s, fmt.Errorf("unable to start the %s side: %w", s.name, err))

			return
		}
	}
	close(p.ready)
	p.bridge.journal.up(p)
	p.bridge.endIfBlocked(p)
	p.tell("pair is up", p.initiator, "native", p.native.peer.ID(), "libp2p", p.libp2p.peer.ID(), "initiator", p.initiator)
	p.libp2p.ask()
}

// flush ends a connection once the node has what was accepted for it.
func (s *side) flush(reason error) {
	if rf, ok := s.peer.(compat.ReasonFlusher); ok {
		rf.FlushStopForReason(reason)

		return
	}
	s.peer.FlushStop()
}

// drop stops and closes a connection.
func (s *side) drop(conn compat.PeerConn, reason error) {
	stop := conn.Stop
	if rs, ok := conn.(compat.ReasonStopper); ok {
		stop = func() error { return rs.StopForReason(reason) }
	}
	logger := s.pair.bridge.logger.With("side", s.name, "peer", conn.ID())
	if err := stop(); err != nil && !errors.Is(err, service.ErrAlreadyStopped) && !errors.Is(err, service.ErrNotStarted) {
		logger.Warn("connection did not stop cleanly", "err", err)
	}
	if err := conn.CloseConn(); err != nil {
		logger.Debug("connection closed with an error", "err", err)
	}
}

// abandon ends the connection to a target that the node, which has dialed the bridge, could
// not be paired with.
func (s *side) abandon(reason error) {
	s.drop(s.peer, reason)
	s.pair.end(s.other(), errors.Join(errNoCounterpart, reason))
}

// isUp reports whether both connections have been started.
func (p *pair) isUp() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}
