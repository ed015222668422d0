package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// The pause before a node tries again to reach a bridge, doubled up to the maximum.
	minRetry = time.Second
	maxRetry = 30 * time.Second
	// nextAfter is how long a bridge is asked for a tunnel before another one is asked too.
	nextAfter = time.Second
)

// errNoBridge is the error of a dial when no bridge has opened a tunnel.
var errNoBridge = errors.New("no bridge opens a tunnel to there")

// Sockets are those of a node whose native connections run in tunnels. They implement
// compat.Sockets for native.WithSockets. All methods may be called concurrently.
type Sockets struct {
	side    *lp2p.Transport
	bridges []types.NetAddress
	logger  *slog.Logger
	times   times // changed by tests before Listen

	ctx     context.Context
	cancel  context.CancelFunc
	tasks   task.Group    // keep the node in reach of the bridges
	waiting chan net.Conn // to be accepted by the native transport: as many as the bridges may open

	mtx  sync.Mutex
	last types.ID // of the bridge that has answered last
}

// NewSockets returns the sockets of the node with the libp2p transport, which reaches native
// nodes through the bridges. It trusts them to say from where a native node comes, and nothing
// else. It keeps a connection to each from Listen until Close, which comes after that of the
// native transport and before that of side. A nil logger discards.
func NewSockets(side *lp2p.Transport, bridges []types.NetAddress, logger *slog.Logger) *Sockets {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Sockets{
		side: side, bridges: slices.Clone(bridges), logger: logger, times: defaultTimes(),
		waiting: make(chan net.Conn, len(bridges)*maxTunnels),
	}
	for i := range s.bridges {
		s.bridges[i].ID = s.bridges[i].ID.Canonical() // the form in which nodes are compared
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	side.HandleStream(protocolIn, s.isBridge, s.serve)

	return s
}

// Close ends the connections to the bridges, and refuses further tunnels.
func (s *Sockets) Close() error {
	s.tasks.Close()
	s.cancel()
	s.tasks.Wait()
	s.drop()

	return nil
}

// drop closes the tunnels that nobody has accepted.
func (s *Sockets) drop() {
	for {
		select {
		case conn := <-s.waiting:
			_ = conn.Close() // its remote may have ended it
		default:
			return
		}
	}
}

// DialContext implements compat.Sockets: it asks the bridges for a tunnel to the address, first the
// one that has answered last. The next one is asked when one has failed, or has not answered for a
// while; the first tunnel that opens counts.
func (s *Sockets) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, waiting := make(chan answer, len(s.bridges)), 0
	patience := time.NewTimer(s.times.next)
	defer patience.Stop()
	err := errNoBridge
	for next := s.inOrder(); len(next) > 0 || waiting > 0; {
		if len(next) > 0 && waiting == 0 {
			next, waiting = s.askNext(ctx, next, address, answers), waiting+1
			patience.Reset(s.times.next)
		}
		select {
		case a := <-answers:
			waiting--
			if a.err == nil {
				s.endOthers(answers, waiting)

				return a.conn, nil
			}
			err = fmt.Errorf("%w: %w", err, a.err)
		case <-patience.C:
			if len(next) > 0 {
				next, waiting = s.askNext(ctx, next, address, answers), waiting+1
				patience.Reset(s.times.next)
			}
		}
	}

	return nil, err
}

// answer is a tunnel that a bridge has opened, or why it has not.
type answer struct {
	conn net.Conn
	err  error
}

// askNext asks the first of the bridges on a goroutine and returns the others.
func (s *Sockets) askNext(ctx context.Context, bridges []types.NetAddress, address string, answers chan<- answer) []types.NetAddress {
	b := bridges[0]
	asked := s.tasks.Go(func() {
		conn, err := s.dial(ctx, b, address)
		if err != nil {
			err = fmt.Errorf("bridge %s: %w", b.ID, err)
		}
		answers <- answer{conn, err}
	})
	if !asked {
		answers <- answer{err: net.ErrClosed}
	}

	return bridges[1:]
}

// endOthers ends the tunnels that open after another one. The dials end with their context.
func (s *Sockets) endOthers(answers <-chan answer, waiting int) {
	if waiting == 0 {
		return
	}
	s.tasks.Go(func() { // or Close, which waits for the dials, ends the connections below them
		for range waiting {
			if a := <-answers; a.err == nil {
				_ = a.conn.Close() // nobody has it
			}
		}
	})
}

// inOrder returns the bridges, that one first which has answered last.
func (s *Sockets) inOrder() []types.NetAddress {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	i := max(0, slices.IndexFunc(s.bridges, func(b types.NetAddress) bool { return b.ID == s.last }))

	return slices.Concat(s.bridges[i:], s.bridges[:i])
}

func (s *Sockets) dial(ctx context.Context, bridge types.NetAddress, address string) (net.Conn, error) {
	stream, err := open(ctx, s.side, bridge, protocolOut, address, s.times.open)
	if err == nil || errors.As(err, new(*RefusedError)) {
		s.mtx.Lock()
		s.last = bridge.ID
		s.mtx.Unlock()
	}
	if err != nil {
		return nil, err
	}
	var remote net.Addr = stream.RemoteAddr() // of the bridge, which stands for a host name
	if at, err := tcpAddr(address); err == nil {
		remote = at
	}

	return &tunneled{stream, bridge.ID, remote}, nil
}

// Listen implements compat.Sockets: its connections are the tunnels that the bridges open. From
// now on until its Close the node stays in reach of them. The listener has the address, at which
// nobody listens.
func (s *Sockets) Listen(_, address string) (net.Listener, error) {
	at, err := tcpAddr(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	for _, b := range s.bridges {
		s.tasks.Go(func() { s.stayInReach(ctx, b) }) // after Close there is nobody to reach
	}

	return &listener{s, at, ctx, cancel}, nil
}

// serve takes a tunnel that a bridge opens.
func (s *Sockets) serve(from types.ID, stream net.Conn) {
	address, err := readAddress(stream, s.times.open)
	if err != nil {
		_ = stream.Close()

		return
	}
	remote, err := tcpAddr(address)
	reason := ""
	switch {
	case !s.isBridge(from):
		reason = "this node has no tunnel through the bridge"
	case err != nil:
		reason = "no address of the native node"
	}
	if reason != "" {
		refuse(stream, reason, s.times.open)
	}
	if reason != "" || accept(stream) != nil {
		_ = stream.Close()

		return
	}
	select {
	case s.waiting <- &tunneled{stream, from, remote}:
	default:
		_ = stream.Close() // too many wait

		return
	}
	if s.ctx.Err() != nil {
		s.drop() // Close may have come before
	}
}

func (s *Sockets) isBridge(id types.ID) bool {
	return slices.ContainsFunc(s.bridges, func(b types.NetAddress) bool { return b.ID == id })
}

// stayInReach keeps a stream to the bridge until the context ends, and so the connection below
// it, on which the bridge opens tunnels.
func (s *Sockets) stayInReach(ctx context.Context, bridge types.NetAddress) {
	for retry := minRetry; ; retry = min(2*retry, maxRetry) {
		begun := time.Now()
		err := s.keep(ctx, bridge)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > maxRetry {
			retry = minRetry
		}
		s.logger.Warn("no native node reaches this node through the bridge", "bridge", bridge.String(), "retry_in", retry, "err", err)
		if !task.Sleep(ctx, retry) {
			return
		}
	}
}

// keep returns when the stream has ended, and why.
func (s *Sockets) keep(ctx context.Context, bridge types.NetAddress) error {
	opening, cancel := context.WithTimeout(ctx, s.times.open)
	defer cancel()
	stream, err := open(opening, s.side, bridge, protocolOut, "", s.times.open)
	if err != nil {
		return err
	}
	defer stream.Close()
	s.logger.Info("native nodes reach this node through the bridge", "bridge", bridge.String())
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err = stream.Read(make([]byte, 1)); err == nil {
		err = errors.New("the bridge has sent bytes, and the protocol has none")
	}

	return fmt.Errorf("the connection has ended: %w", err)
}

// tunneled is a tunnel with the address of the native node.
type tunneled struct {
	net.Conn
	bridge types.ID
	remote net.Addr
}

// TunneledBy implements compat.TunneledPeer.
func (t *tunneled) TunneledBy() types.ID { return t.bridge }

// RemoteAddr implements net.Conn.
func (t *tunneled) RemoteAddr() net.Addr { return t.remote }

type listener struct {
	sockets *Sockets
	at      net.Addr
	ctx     context.Context
	cancel  context.CancelFunc
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.sockets.waiting:
		return conn, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.cancel()

	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.at }
