package lp2p

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// How long to wait for a goodbye after a data stream has failed or ended. The remote sends
// the goodbye first. Over QUIC the streams are not in one order, and a lost goodbye is sent
// again, which takes some round trips.
const (
	streamGrace     = 250 * time.Millisecond
	quicStreamGrace = 2 * time.Second
)

// session is one peer on one connection: a control stream and the data streams of its
// channels. It is registered before the handshake ends. establish makes its Peer, end ends
// it once, and cleanup releases what it holds.
type session struct {
	t        *Transport
	key      sessionKey
	conn     network.Conn
	control  *stream.Stream
	outbound bool
	past     *atomic.Int64 // counts it when it has ended; nil if it is outbound
	behavior compat.PeerBehavior
	reactors map[byte]compat.Reactor
	channels []compat.ChannelDescriptor // ours, in the order of registration
	promised []byte                     // the channels that the remote is told
	logger   *slog.Logger

	ctx         context.Context // ends with the session
	cancel      context.CancelFunc
	started     chan struct{} // closed by start
	answered    chan struct{} // closed when the remote has answered our goodbye
	announced   chan struct{} // closed when flush has sent our goodbye, or has failed to
	controlDone chan struct{} // closed when readLoop returns
	delivery    task.Signal   // set after each delivery

	peer *Peer // set by establish, before anything that reads it runs
	out  *outbox

	recv       flow.Meter
	pacer      *pacer     // of what is received; nil without a rate
	assembly   *assembly  // memory of messages on their way to the reactors
	deliveries fifoLock   // held while a reactor receives: one at a time
	controlMtx sync.Mutex // held while writing to the control stream

	mtx         sync.Mutex
	isStarted   bool
	ended       bool
	cause       error
	flushing    bool             // FlushStop runs: the switch is not told of the end
	byeSent     bool             // flush has begun to send our goodbye
	byeAnswered bool             // answered is closed
	byeRecvd    *control.Goodbye // the remote's goodbye
	broken      error            // first failure of a data stream
	cut         error            // first data stream that ended before a goodbye
	inbound     map[byte]*channelIn
}

// newSession returns a session in which the remote is told the promised channels. The caller
// has reserved its epoch and retained its connection.
func newSession(
	t *Transport, c network.Conn, ctrl *stream.Stream, e control.Epoch, outbound bool, promised []byte,
	behavior compat.PeerBehavior,
) *session {
	s := &session{
		t: t, key: sessionKey{peer: c.RemotePeer(), epoch: e}, conn: c, control: ctrl, outbound: outbound,
		behavior: behavior, reactors: behavior.Reactors(), promised: promised,
		started: make(chan struct{}), answered: make(chan struct{}), announced: make(chan struct{}),
		controlDone: make(chan struct{}), delivery: task.NewSignal(),
		inbound: make(map[byte]*channelIn), assembly: newAssembly(maxPartialBytes),
		pacer:  newPacer(t.opts.recvRate),
		logger: t.logger.With("peer", c.RemotePeer(), "session", e),
	}
	for _, d := range behavior.ReactorChDescriptors() {
		s.channels = append(s.channels, d.FillDefaults())
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())

	return s
}

// remoteInfo is what the handshake has shown of the remote.
type remoteInfo struct {
	id          types.ID
	node        types.NodeInfo
	delegatedBy types.ID // the node that speaks for it; empty if it speaks for itself
	seenAt      netip.Prefix
}

// establish makes the Peer after the handshake and begins to read the control stream. It
// fails if the session has ended meanwhile.
func (s *session) establish(r remoteInfo, dialed *types.NetAddress) (*Peer, error) {
	p, out := newPeer(s, r, dialed), newOutbox(s, r.node.Channels)

	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.ended {
		return nil, s.cause
	}
	s.peer, s.out = p, out
	if s.broken != nil || s.cut != nil {
		_ = s.control.SetReadDeadline(time.Now().Add(s.grace()))
	}
	go s.readLoop() // cleanup waits for it

	return p, nil
}

// start begins the deliveries.
func (s *session) start() error {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.ended {
		return fmt.Errorf("session ended before its start: %w", s.cause)
	}
	s.isStarted = true
	now := time.Now()
	s.out.flow.Begin(now)
	s.recv.Begin(now)
	close(s.started)

	return nil
}

// end ends the session unless it has ended already, and starts the cleanup, which sends
// bye if it is not nil. It reports whether this call has ended the session, and whether the
// switch is to be told. It does not block.
func (s *session) end(cause error, bye *control.Goodbye) (first, tell bool) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.ended {
		return false, false
	}
	s.ended, s.cause = true, cause
	s.cancel()

	if s.peer == nil {
		_ = s.control.SetDeadline(stream.LongAgo) // ends the handshake, whose caller cleans up

		return true, false
	}
	if s.past != nil {
		s.past.Add(1) // before the switch hears of it
	}
	s.out.close()
	go s.cleanup(bye) // counted in sessions.alive, as the session is

	return true, s.isStarted && !s.flushing
}

// fail ends the session and tells the switch if the peer runs. It does so on another
// goroutine: the caller may hold locks of the switch, and the cleanup must not wait for it.
func (s *session) fail(err error) {
	var bye *control.Goodbye
	if _, byRemote := err.(*GoodbyeError); !byRemote && !stream.IsLost(err) {
		bye = goodbyeFor(err)
	}
	first, tell := s.end(err, bye)
	if !first {
		return
	}
	s.logger.Debug("session ended", "err", err)
	if !tell {
		return
	}
	// The session was alive, or a task has called: Close does not wait yet.
	s.t.tasks.Go(func() {
		if s.peer.IsRunning() {
			s.behavior.HandlePeerError(s.peer, err)
		}
	})
}

// stop ends the session by our own decision, of which the switch is not told. It does not
// block.
func (s *session) stop(reason error) { s.end(errStopped, goodbyeFor(reason)) }

// cleanup says goodbye, ends all streams, waits until the remote has noticed, and releases
// the connection. Every step has a deadline.
func (s *session) cleanup(bye *control.Goodbye) {
	defer s.t.sessions.forget(s.key)
	s.t.sessions.deactivate(s.key)

	s.mtx.Lock()
	if s.byeSent {
		bye = nil
	}
	s.mtx.Unlock()
	if bye != nil {
		if err := s.say(bye); err != nil {
			s.logger.Debug("goodbye was not sent", "err", err)
		}
	}

	// After the goodbye, which explains the resets.
	s.tryEnd(func() {
		s.resetData(network.StreamShutdown)
		_ = s.control.CloseWrite()
	})
	_ = s.control.SetReadDeadline(time.Now().Add(s.t.opts.timeouts.Linger))
	<-s.controlDone
	s.tryEnd(func() { _ = s.control.Reset() })
	if s.t.gater.blockedConn(s.conn) {
		_ = s.conn.Close() // even if something else holds it
	}
	s.t.release(s.conn)
}

// tryEnd is that of the transport. On a connection that has ended nothing waits.
func (s *session) tryEnd(end func()) {
	if s.conn.IsClosed() {
		end()

		return
	}
	s.t.tryEnd(end)
}

// abort cleans up after a dialer's handshake that has failed.
func (s *session) abort() {
	s.end(errStopped, nil)
	s.t.sessions.deactivate(s.key)
	s.t.tryEnd(func() {
		s.resetData(network.StreamShutdown)
		_ = s.control.Reset()
	})
	s.t.release(s.conn)
	s.t.sessions.forget(s.key)
}

// resetData resets the data streams of both directions. The session has ended, so that no
// more are added.
func (s *session) resetData(code network.StreamErrorCode) {
	s.mtx.Lock()
	streams := make([]*stream.Stream, 0, len(s.inbound))
	for _, c := range s.inbound {
		streams = append(streams, c.stream)
	}
	s.mtx.Unlock()

	if s.out != nil {
		streams = append(streams, s.out.streams()...)
	}
	for _, st := range streams {
		_ = st.ResetWithError(code)
	}
}

// dataFailed ends the session because a data stream has failed. It gives a goodbye of the
// remote, which is the better reason to report, the grace time to be read.
func (s *session) dataFailed(err error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.ended || s.broken != nil {
		return
	}
	s.broken = err
	// While the handshake runs, whose deadline is another one, establish does so.
	if s.peer != nil && s.byeRecvd == nil {
		_ = s.control.SetReadDeadline(time.Now().Add(s.grace()))
	}
	s.delivery.Set()
}

// grace is how long after the end of a stream a goodbye may arrive.
func (s *session) grace() time.Duration {
	if s.overQUIC() {
		return quicStreamGrace
	}

	return streamGrace
}

// overQUIC reports whether the session is known to run over QUIC, which alone has no backlog.
// Before establish it is not known.
func (s *session) overQUIC() bool { return s.out != nil && s.out.below == nil }

// dataEnded notes that the remote has ended a data stream, which ends the session unless a
// goodbye of it arrives within the grace time. Over TCP the goodbye has come first, so that is a
// violation; over QUIC it may have been lost as often as it was sent.
func (s *session) dataEnded(channel byte) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.ended || s.byeRecvd != nil || s.cut != nil {
		return
	}
	blame := control.Violation
	if s.overQUIC() {
		blame = control.TooSlow
	}
	s.cut = blame("stream of channel %#02x ended without a goodbye", channel)
	if s.peer != nil { // else establish does so
		_ = s.control.SetReadDeadline(time.Now().Add(s.grace()))
	}
}
