package mconn

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
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
	// flushTimeout is how long FlushStop waits until all accepted messages are
	// written.
	flushTimeout = 5 * time.Second

	// closeTimeout is how long FlushStop then waits for the peer to close. Closing
	// a socket with unread input resets the connection, and then the peer may lose
	// data that it has not read yet.
	closeTimeout = time.Second

	// writeErrorGrace is how long the reader may go on after a write failed, since
	// the peer may have sent messages before it closed.
	writeErrorGrace = time.Second
)

// MConnection multiplexes the channels of one connection (docs/wire.md §5). It
// can be started once. All methods may be called concurrently, except SetLogger,
// which must be called before Start.
type MConnection struct {
	service.BaseService

	conn      net.Conn
	config    MConnConfig
	maxPacket int // bytes, prefix included
	onReceive func(chID byte, msg []byte)
	onError   func(error)

	channels []*channel // in the order of registration; never changes
	byID     [256]*channel
	unserved []byte // channels whose messages are dropped
	sched    scheduler
	sent     flow.Meter
	received flow.Meter
	activity readActivity

	mu          sync.Mutex
	started     time.Time
	open        bool // messages are accepted
	sendBytes   int  // payload queued and being sent
	waiters     int  // on all channels
	freeWaiters []*waiter
	probe       probe

	wake     task.Signal // wakes the writer
	draining atomic.Bool // the writer ends once all accepted messages are written
	drained  atomic.Bool // they are; later errors are not reported
	stopped  atomic.Bool

	alive      atomic.Int32 // goroutines running
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
// to Stop the connection owns conn, including its deadlines. conn must allow one
// Read and one Write at the same time, and Close at any time. If it has a method
// WriteSize() int, the batches that are written are no larger, but for one packet; else
// they have up to 32 KiB. If it has a method FrameSize() int, writes fill frames of that
// size unless a message ends in the last one. The descriptors are copied. The scheduler prefers the first registered of two equal channels.
//
// onReceive is called for one message at a time, in order. The slice is valid
// only during the call. onReceive may call any method, but must not wait for
// Done. A panic in it ends the connection with a [PanicError].
//
// onError is called at most once, when the connection ends for a reason other
// than Stop or FlushStop. The connection is stopped by then, but onReceive may
// still be running. onError may call Stop and may wait for Done.
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
		wake:       task.NewSignal(),
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

// SetLogger sets the logger. It must be called before Start. The connection logs
// only what it does not return or pass to onError.
func (c *MConnection) SetLogger(logger *slog.Logger) {
	c.BaseService.SetLogger(logger)
}

// DropUnserved makes the connection read and drop what the peer sends on these channels, which
// must not be registered: the peer may use them because it was told of them, and is not to
// blame. Nothing of such a message is kept, and it counts for the RecvRate as any other. It must be
// called before Start.
func (c *MConnection) DropUnserved(channels []byte) { c.unserved = slices.Clone(channels) }

// OnStart implements service.Service; call Start.
func (c *MConnection) OnStart() error {
	now := time.Now()

	c.mu.Lock()
	c.started, c.sched.start, c.activity.start = now, now, now
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

// Stop ends the connection and closes the net.Conn. Messages that were not
// written yet are lost, and blocked Sends return false. Stop does not wait for the
// goroutines (see Done), so onReceive and onError may call it. It returns
// service.ErrAlreadyStopped after the first call. On a connection that was never
// started it returns service.ErrNotStarted and leaves the net.Conn open.
func (c *MConnection) Stop() error { return c.BaseService.Stop() }

// OnStop implements service.Service; call Stop.
func (c *MConnection) OnStop() {
	c.stopped.Store(true)
	c.refuseSends()
	c.endProbe()

	if err := c.conn.Close(); err != nil {
		c.Logger.Debug("cannot close the connection", "conn", c.String(), "err", err)
	}
}

// Done returns a channel that is closed when both goroutines have ended: none of
// them uses the net.Conn or calls onReceive afterwards. The channel stays open
// when Start was never called. onReceive must not wait for it.
func (c *MConnection) Done() <-chan struct{} { return c.done }

// FlushStop stops the connection after writing all accepted messages. It ignores
// SendRate and waits at most 5 s. Then, if the net.Conn has a CloseWrite method,
// it calls that and waits at most 1 s for the peer to close its side. Messages
// that arrive meanwhile are delivered.
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

// awaitReader lets the reader deliver what the peer sent before the write failed.
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

// end finishes a goroutine. If the goroutine ended with an error, end stops the
// connection and reports the error, unless the connection is stopped already.
func (c *MConnection) end(ended chan struct{}, err error) {
	report := err != nil && c.stopFailed()

	close(ended)

	if c.alive.Add(-1) == 0 {
		c.dropMessages()
		close(c.done)
	}

	if report {
		c.onError(err)
	}
}

// stopFailed stops the connection because of an error. It reports whether to pass
// the error to onError: not when the connection was stopped before, nor when
// FlushStop has written all messages.
func (c *MConnection) stopFailed() bool { return c.Stop() == nil && !c.drained.Load() }

// dropMessages frees the queued messages. Both goroutines have ended.
func (c *MConnection) dropMessages() {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, ch := range c.channels {
		ch.queue.clear()
		ch.size.Store(0)
		ch.sending = nil

		ch.assembly.release()
	}

	c.sendBytes = 0
}
