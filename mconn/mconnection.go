package mconn

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// flushTimeout is how long FlushStop waits for what was accepted to be
	// written.
	flushTimeout = 5 * time.Second

	// closeTimeout is how long FlushStop then waits for the peer to close. A
	// socket closed with unread input resets the connection, which can destroy
	// what the peer has not read yet.
	closeTimeout = time.Second

	// writeErrorGrace is how long the reader may still deliver after a write
	// failed: a peer that has closed may have sent before.
	writeErrorGrace = time.Second
)

// MConnection multiplexes the channels of one connection (docs/wire.md §5). It
// is started once and stopped once. All methods may be called concurrently,
// except SetLogger, which comes before Start.
type MConnection struct {
	service.BaseService

	conn      net.Conn
	config    MConnConfig
	maxPacket int // bytes, prefix included
	onReceive func(chID byte, msg []byte)
	onError   func(error)

	channels []*channel // in the order of registration; never changes
	byID     [256]*channel
	sched    scheduler
	sent     flow.Meter
	received flow.Meter
	pulse    pulse

	mu          sync.Mutex
	started     time.Time
	open        bool // messages are accepted
	sendBytes   int  // payload queued and being sent
	waiters     int  // on all channels
	freeWaiters []*waiter
	probe       probe

	wake     task.Signal // tells the writer that there is something to do
	draining atomic.Bool // nothing more is accepted: write what there is, then end
	drained  atomic.Bool // all was written; errors no longer count
	stopped  atomic.Bool
	quit     chan struct{}

	alive      atomic.Int32
	writerDone chan struct{}
	readerDone chan struct{}
	done       chan struct{}
}

// NewMConnection is NewMConnectionWithConfig with DefaultMConnConfig.
func NewMConnection(
	conn net.Conn,
	chDescs []*compat.ChannelDescriptor,
	onReceive func(chID byte, msg []byte),
	onError func(error),
) (*MConnection, error) {
	return NewMConnectionWithConfig(conn, chDescs, onReceive, onError, DefaultMConnConfig())
}

// NewMConnectionWithConfig returns a connection that is not started. From Start
// to Stop it owns conn, including its deadlines; conn must allow one Read and one
// Write at the same time, and Close at any time. The descriptors are copied;
// their order decides ties in scheduling.
//
// onReceive is called for one message at a time, in order. The slice is valid
// only during the call. onReceive may call any method, but must not wait for
// Done. A panic in it ends the connection with a [PanicError].
//
// onError is called at most once, when the connection has ended for any other
// reason than Stop or FlushStop. By then the connection is stopped; onReceive may
// still be running when it was the writer that failed. onError may call Stop and
// may wait for Done.
//
// Errors: [ErrNilArgument], [ErrInvalidConfig], [ErrDuplicateChannel] and
// compat.ErrInvalidChannel, wrapped.
func NewMConnectionWithConfig(
	conn net.Conn,
	chDescs []*compat.ChannelDescriptor,
	onReceive func(chID byte, msg []byte),
	onError func(error),
	config MConnConfig,
) (*MConnection, error) {
	if conn == nil || onReceive == nil || onError == nil {
		return nil, fmt.Errorf("%w: conn or callback", ErrNilArgument)
	}

	if err := config.Validate(); err != nil {
		return nil, err
	}

	channels, err := newChannels(chDescs)
	if err != nil {
		return nil, err
	}

	c := &MConnection{
		conn: conn, config: config, maxPacket: wire.MaxPacketSize(config.MaxPacketMsgPayloadSize),
		onReceive: onReceive, onError: onError,
		channels: channels, sched: scheduler{channels: channels},
		wake: task.NewSignal(), quit: make(chan struct{}),
		writerDone: make(chan struct{}), readerDone: make(chan struct{}), done: make(chan struct{}),
	}
	for _, ch := range channels {
		c.byID[ch.desc.ID] = ch
	}

	c.BaseService = *service.NewBaseService(nil, "MConnection", c)

	return c, nil
}

// String names the connection by its remote address.
func (c *MConnection) String() string {
	return fmt.Sprintf("MConn{%v}", c.conn.RemoteAddr())
}

// SetLogger sets the logger, before Start. The connection logs only what it can
// report in no other way.
func (c *MConnection) SetLogger(logger *slog.Logger) {
	c.BaseService.SetLogger(logger)
}

// OnStart implements service.Service; call Start.
func (c *MConnection) OnStart() error {
	now := time.Now()

	c.mu.Lock()
	c.started, c.sched.start, c.pulse.start = now, now, now
	c.open = !c.stopped.Load()
	c.mu.Unlock()
	c.beginProbe()

	c.sent.Begin(now)
	c.received.Begin(now)
	c.alive.Store(2)

	go c.sendRoutine(now)
	go c.recvRoutine(now)

	return nil
}

// Stop ends the connection at once and closes the net.Conn; what was not written
// yet is lost. Sends that wait return false. It waits for nobody, so it may be
// called from onReceive and onError; see Done. It returns
// service.ErrAlreadyStopped after the first call, and service.ErrNotStarted on a
// connection that was never started, whose net.Conn the caller closes.
func (c *MConnection) Stop() error { return c.BaseService.Stop() }

// OnStop implements service.Service; call Stop.
func (c *MConnection) OnStop() {
	c.stopped.Store(true)
	c.refuseSends()
	c.endProbe()
	close(c.quit)

	if err := c.conn.Close(); err != nil {
		c.Logger.Debug("cannot close the connection", "conn", c.String(), "err", err)
	}
}

// Done is closed when no goroutine of a started connection uses the net.Conn or
// calls onReceive any more. It stays open when Start was never called. It must
// not be waited for in onReceive.
func (c *MConnection) Done() <-chan struct{} { return c.done }

// FlushStop is Stop after all accepted messages were written, without regard for
// SendRate. It waits at most 5 s for that, and then, when the net.Conn has a
// CloseWrite method, at most 1 s for the peer to close its side; messages that
// come meanwhile are delivered.
func (c *MConnection) FlushStop() {
	if !c.IsRunning() {
		return
	}

	c.refuseSends()
	c.draining.Store(true)
	c.wake.Set()

	if !task.WaitFor(c.writerDone, flushTimeout) {
		c.Logger.Warn("connection stopped before all messages were written", "conn", c.String())
	}

	if c.drained.Load() {
		c.closeWrite()
	}

	if err := c.Stop(); err != nil {
		c.Logger.Debug("connection ended while it was flushed", "conn", c.String(), "err", err)
	}
}

func (c *MConnection) closeWrite() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok {
		return
	}

	if err := half.CloseWrite(); err != nil {
		c.Logger.Debug("cannot close one side of the connection", "conn", c.String(), "err", err)

		return
	}

	task.WaitFor(c.readerDone, closeTimeout)
}

// sendRoutine is the writer goroutine.
func (c *MConnection) sendRoutine(now time.Time) {
	err := newWriter(c, now).run()
	if err != nil && !c.stopped.Load() {
		c.refuseSends()
		c.awaitReader(err)
	}

	c.end(c.writerDone, err)
}

// awaitReader lets the reader deliver what the peer has sent before it became
// impossible to write to it.
func (c *MConnection) awaitReader(err error) {
	if errors.Is(err, ErrPongTimeout) {
		return
	}

	task.WaitFor(c.readerDone, writeErrorGrace)
}

// recvRoutine is the reader goroutine.
func (c *MConnection) recvRoutine(now time.Time) {
	err := errDeliveryExited
	defer func() { c.end(c.readerDone, err) }()

	err = newReader(c, now).run()
}

// end finishes a goroutine. An error ends the connection; whoever gets to stop
// it reports, so that there is one report and none after Stop.
func (c *MConnection) end(ended chan struct{}, err error) {
	report := err != nil && c.fails()

	close(ended)

	if c.alive.Add(-1) == 0 {
		c.dropMessages()
		close(c.done)
	}

	if report {
		c.onError(err)
	}
}

// fails stops the connection and reports whether it was running until now and its
// end is a failure.
func (c *MConnection) fails() bool { return c.Stop() == nil && !c.drained.Load() }

// dropMessages frees what is still queued, once no goroutine uses it.
func (c *MConnection) dropMessages() {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, ch := range c.channels {
		ch.queue.clear()
		ch.size.Store(0)
		ch.sending = nil

		if ch.assembly.buf != nil {
			ch.assembly.buf.release()
			ch.assembly.buf = nil
		}
	}

	c.sendBytes = 0
}
