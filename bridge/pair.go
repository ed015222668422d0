package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var (
	errBridgeStopped = errors.New("bridge is stopping")
	errNotTaken      = errors.New("message was not taken")
)

// pair couples a native connection with a libp2p session. It runs until one of
// them ends, then ends the other.
type pair struct {
	bridge    *Bridge
	initiator string
	since     time.Time
	legacy    *side
	libp2p    *side

	ready chan struct{} // closed when both connections are started
	done  chan struct{} // closed by the first end
	gone  chan struct{} // closed when nothing of the pair is left

	mtx    sync.Mutex
	ended  bool
	endErr error
	endBy  *side // the side whose connection failed, nil when the bridge ended it
}

// side is one of the two connections of a pair and what the stack asks about it:
// it implements compat.PeerBehavior.
type side struct {
	pair     *pair
	name     string
	self     types.ID // the ID that the node of this side sees
	channels []*compat.ChannelDescriptor
	reactors map[byte]compat.Reactor
	peer     compat.PeerConn
	remove   func(compat.PeerConn)
	sent     meter  // relayed to this side
	total    *meter // the same over all pairs
	known    func() []*types.NetAddress
}

func (b *Bridge) newPair(initiator string) *pair {
	p := &pair{
		bridge:    b,
		initiator: initiator,
		since:     time.Now(),
		ready:     make(chan struct{}),
		done:      make(chan struct{}),
		gone:      make(chan struct{}),
	}
	p.legacy = &side{pair: p, name: InitiatorLegacy, total: &b.toLegacy, known: b.knownLegacy}
	p.libp2p = &side{pair: p, name: InitiatorLibp2p, total: &b.toLibp2p, known: b.knownLibp2p}

	return p
}

// listen registers the channels on which the connection of this side may receive.
func (s *side) listen(descs []*compat.ChannelDescriptor) {
	s.channels = descs
	s.reactors = make(map[byte]compat.Reactor, len(descs))
	r := &relay{side: s}
	r.BaseReactor = *compat.NewBaseReactor("bridge", r)
	for _, d := range descs {
		s.reactors[d.ID] = r
	}
}

// other is the side to which messages of this side go.
func (s *side) other() *side {
	if s == s.pair.legacy {
		return s.pair.libp2p
	}

	return s.pair.legacy
}

// ReactorChDescriptors implements compat.PeerBehavior.
func (s *side) ReactorChDescriptors() []*compat.ChannelDescriptor { return s.channels }

// Reactors implements compat.PeerBehavior.
func (s *side) Reactors() map[byte]compat.Reactor { return s.reactors }

// HandlePeerError implements compat.PeerBehavior: the pair ends.
func (s *side) HandlePeerError(_ compat.PeerConn, err error) {
	s.pair.end(s, fmt.Errorf("%s side: %w", s.name, err))
}

// IsPersistentPeer implements compat.PeerBehavior: who dialed keeps redialing.
func (*side) IsPersistentPeer(types.ID) bool { return false }

// IsPrivatePeer implements compat.PeerBehavior.
func (s *side) IsPrivatePeer(id types.ID) bool { return s.pair.bridge.private[id] }

// relay hands the messages of one side to the other.
type relay struct {
	compat.BaseReactor

	side *side
}

// Receive implements compat.Reactor. It returns when the far side's queue has
// taken the message, which holds back this side; if it does not within
// compat.SendTimeout, the pair ends, for nothing may be left out.
func (r *relay) Receive(chID byte, _ compat.PeerConn, msg []byte) {
	from := r.side
	select {
	case <-from.pair.ready:
	case <-from.pair.done:
		return
	}
	if chID == discoveryChannel {
		from.answerDiscovery(msg)

		return
	}

	// Both channels may be closed, and select picks any: what comes after the end
	// must not leave a gap before itself.
	if from.pair.isDone() {
		return
	}
	to := from.other()
	begin := time.Now()
	if !to.peer.Send(chID, bytes.Clone(msg)) {
		from.pair.refused(begin, fmt.Errorf("%w: %d bytes on channel %#02x from the %s side to %s",
			errNotTaken, len(msg), chID, from.name, to.peer.ID()))

		return
	}
	to.sent.add(len(msg))
	to.total.add(len(msg))
}

// refused ends the pair for a message that was not taken. A refusal at once means
// that the far side is on its way out: it is left to say why, and to deliver what
// was taken before.
func (p *pair) refused(begin time.Time, err error) {
	timer := time.NewTimer(time.Until(begin.Add(compat.SendTimeout)))
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.end(nil, err)
	}
}

func (p *pair) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end records why the pair ends; only the first call counts. It does not block.
func (p *pair) end(by *side, err error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if p.ended {
		return
	}
	p.ended, p.endBy, p.endErr = true, by, err
	close(p.done)
}

func (p *pair) reason() (*side, error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return p.endBy, p.endErr
}

// diedYoung reports whether the pair ended soon, and by the side that the bridge
// has dialed.
func (p *pair) diedYoung() bool {
	dialed := p.libp2p
	if p.initiator == InitiatorLibp2p {
		dialed = p.legacy
	}
	by, _ := p.reason()

	return by == dialed && time.Since(p.since) < minUptime
}

// run starts both connections and ends both when one has ended.
func (p *pair) run() {
	if err := p.start(); err != nil {
		p.end(nil, err)
	} else {
		close(p.ready)
		p.bridge.logger.Info("pair is up", "legacy", p.legacy.peer.ID(), "libp2p", p.libp2p.peer.ID(), "initiator", p.initiator)
	}
	<-p.done

	by, err := p.reason()
	for _, s := range []*side{p.legacy, p.libp2p} {
		p.stop(s, by, err)
	}
	p.bridge.logger.Info("pair has ended", "legacy", p.legacy.peer.ID(), "libp2p", p.libp2p.peer.ID(), "err", err)
}

func (p *pair) start() error {
	for _, s := range []*side{p.libp2p, p.legacy} {
		if err := s.peer.Start(); err != nil {
			return fmt.Errorf("unable to start the %s side: %w", s.name, err)
		}
	}

	return nil
}

// stop ends one connection. The one that did not fail first sends what it has
// accepted.
func (p *pair) stop(s, failed *side, reason error) {
	if failed != nil && s != failed {
		s.peer.FlushStop()
	}
	if err := stopPeer(s.peer, reason); err != nil && !isStopped(err) {
		p.bridge.logger.Warn("connection did not stop cleanly", "side", s.name, "peer", s.peer.ID(), "err", err)
	}
	s.remove(s.peer)
}

func stopPeer(peer compat.PeerConn, reason error) error {
	if rs, ok := peer.(compat.ReasonStopper); ok {
		return rs.StopForReason(reason)
	}

	return peer.Stop()
}

func isStopped(err error) bool {
	return errors.Is(err, service.ErrAlreadyStopped) || errors.Is(err, service.ErrNotStarted)
}

func (p *pair) status() PairStatus {
	return PairStatus{
		LegacyID:  p.legacy.peer.ID(),
		Libp2pID:  p.libp2p.peer.ID(),
		Initiator: p.initiator,
		Since:     p.since,
		ToLibp2p:  p.libp2p.sent.traffic(),
		ToLegacy:  p.legacy.sent.traffic(),
	}
}
