package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
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
	native    *side
	libp2p    *side

	making     context.Context // bounds the making of the pair; ends with it
	stopMaking context.CancelFunc

	ready chan struct{} // closed when both connections are started
	done  chan struct{} // closed by the first end
	gone  chan struct{} // closed when nothing of the pair is left
	left  chan struct{} // closed when the attempts that were not needed have ended; nil without them

	mtx    sync.Mutex
	ended  bool
	endErr error
	endBy  *side // the side that failed, nil when the bridge ended the pair
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

	discovery discoveryState
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
	p.making, p.stopMaking = context.WithTimeout(b.ctx, pairTimeout)
	p.native = p.newSide(InitiatorNative, &b.toNative, b.knownNative)
	p.libp2p = p.newSide(InitiatorLibp2p, &b.toLibp2p, b.knownLibp2p)

	return p
}

func (p *pair) newSide(name string, total *meter, known func() []*types.NetAddress) *side {
	requests := rate.NewLimiter(rate.Every(requestInterval), requestBurst)

	return &side{pair: p, name: name, total: total, known: known, discovery: discoveryState{requests: requests}}
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
	if s == s.pair.native {
		return s.pair.libp2p
	}

	return s.pair.native
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
		from.receiveDiscovery(msg)

		return
	}

	// Both channels may be closed, and select picks any: what comes after the end
	// must not leave a gap before itself.
	if from.pair.isDone() {
		return
	}
	to := from.other()
	begin := time.Now()
	// Who has received a message must find it counted.
	to.count(len(msg))
	if !to.peer.Send(chID, bytes.Clone(msg)) {
		to.uncount(len(msg))
		from.pair.refused(to, begin, fmt.Errorf("%w: %d bytes on channel %#02x from the %s side to %s",
			errNotTaken, len(msg), chID, from.name, to.peer.ID()))
	}
}

func (s *side) count(size int) {
	s.sent.add(size)
	s.total.add(size)
}

func (s *side) uncount(size int) {
	s.sent.takeBack(size)
	s.total.takeBack(size)
}

// refused ends the pair for a message that a side has not taken. One that has had all
// its time has failed. A refusal at once means that it is on its way out: it is left to
// say why, and to deliver what was taken before.
func (p *pair) refused(by *side, begin time.Time, err error) {
	left := time.Until(begin.Add(compat.SendTimeout))
	if left <= 0 {
		p.end(by, err)

		return
	}
	if !task.WaitFor(p.done, left) {
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
	p.stopMaking()
	close(p.done)
}

func (p *pair) reason() (*side, error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return p.endBy, p.endErr
}

// verdict is what the pair, which has ended, tells about the side that the bridge has
// dialed.
func (p *pair) verdict() verdict {
	dialed := p.libp2p
	if p.initiator == InitiatorLibp2p {
		dialed = p.native
	}
	by, err := p.reason()
	young := time.Since(p.since) < minUptime
	switch {
	case by == dialed && (young || errors.Is(err, errNotTaken)):
		return atFault
	case by == dialed:
		return worked
	case by != nil && young:
		return brief
	case by != nil:
		return parted
	case young:
		return neutral
	default:
		return worked
	}
}

// run starts both connections and ends both when one has ended.
func (p *pair) run() {
	if !p.isDone() {
		p.begin()
	}
	<-p.done

	by, err := p.reason()
	for _, s := range []*side{p.native, p.libp2p} {
		p.stop(s, by, err)
	}
	p.bridge.logger.Info("pair has ended", "native", p.native.peer.ID(), "libp2p", p.libp2p.peer.ID(), "err", err)
}

func (p *pair) begin() {
	if by, err := p.start(); err != nil {
		p.end(by, err)

		return
	}
	close(p.ready)
	p.bridge.logger.Info("pair is up", "native", p.native.peer.ID(), "libp2p", p.libp2p.peer.ID(), "initiator", p.initiator)
	p.libp2p.ask()
}

// start starts both connections, or tells which side has failed.
func (p *pair) start() (by *side, err error) {
	for _, s := range []*side{p.libp2p, p.native} {
		if err := s.peer.Start(); err != nil {
			return s, fmt.Errorf("unable to start the %s side: %w", s.name, err)
		}
	}

	return nil, nil
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
		NativeID:  p.native.peer.ID(),
		Libp2pID:  p.libp2p.peer.ID(),
		Initiator: p.initiator,
		Since:     p.since,
		ToLibp2p:  p.libp2p.sent.traffic(),
		ToNative:  p.native.sent.traffic(),
	}
}

// drop ends a connection that is not part of a running pair.
func (s *side) drop(conn compat.PeerConn, reason error) {
	if err := stopPeer(conn, reason); err != nil && !isStopped(err) {
		s.pair.bridge.logger.Warn("connection did not stop cleanly", "side", s.name, "peer", conn.ID(), "err", err)
	}
	s.remove(conn)
}

// abandon closes a connection whose counterpart, the node that has dialed the bridge,
// could not be made.
func (s *side) abandon(reason error) {
	s.drop(s.peer, reason)
	s.pair.end(s.other(), errors.Join(errNoCounterpart, reason))
}
