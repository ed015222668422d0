package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

const (
	// maxTunnels bounds the tunnels of one libp2p node in each direction, which is what its
	// libp2p grants a peer without a session. maxPerHost bounds those that native nodes at one
	// public IP address (IPv6: one /64) have opened to it.
	maxTunnels = 24
	maxPerHost = 4
)

// Target is a libp2p node to which native nodes have a tunnel.
type Target struct {
	// Node is where the bridge dials the node, unless the node keeps a connection itself.
	Node types.NetAddress
	// Listen is where native nodes dial it at the bridge. Only IP and port count; port 0 takes
	// a free one.
	Listen types.NetAddress
}

// Config says which tunnels a bridge has.
type Config struct {
	Targets []Target
	// Reach are the native nodes to which the targets may open tunnels, by the address as it is
	// here. Nobody else may open any, nor to any other address.
	Reach []*types.NetAddress
	// Blocks reports whether nobody at the IP may use a tunnel; nil: nobody is blocked.
	Blocks func(ip netip.Addr) bool
	// Sockets replaces the system's TCP, unless it is nil.
	Sockets compat.Sockets
	// Logger may be nil.
	Logger *slog.Logger
}

// Server is the bridge's end of tunnels. All methods may be called concurrently.
type Server struct {
	side    *lp2p.Transport
	config  Config
	refused *summary.Log

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	closed func() error

	listeners []net.Listener

	mtx   sync.Mutex
	ends  map[net.Conn]struct{} // of tunnels
	count map[types.ID]int      // tunnels that native nodes have opened, by target
	out   map[types.ID]int      // those that the targets have opened, and the streams they keep
	hosts map[hostOf]int        // tunnels that native nodes at a public host have opened
}

// hostOf is a host that has tunnels to a target.
type hostOf struct {
	target types.ID
	host   netip.Prefix
}

// Serve opens the ports and accepts tunnels until Close. A node that comes before it is called
// finds no tunnels, and tries again.
func Serve(side *lp2p.Transport, config Config) (*Server, error) {
	if config.Sockets == nil {
		config.Sockets = socket.System{}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		side: side, config: config, refused: summary.New(config.Logger), ends: make(map[net.Conn]struct{}),
		count: make(map[types.ID]int), out: make(map[types.ID]int), hosts: make(map[hostOf]int),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.closed = sync.OnceValue(s.close)
	for _, t := range config.Targets {
		l, err := config.Sockets.Listen("tcp", t.Listen.DialString())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("tunnel of %s: %w", t.Node.ID, err), s.Close())
		}
		s.listeners = append(s.listeners, l)
		s.wg.Go(func() { s.acceptAt(l, t) })
	}
	side.HandleStream(protocolOut, s.isTarget, s.serveOut)

	return s, nil
}

// Addresses returns where native nodes dial each target, in the order of the configuration: the
// target's own ID at the bridge.
func (s *Server) Addresses() []types.NetAddress {
	var addrs []types.NetAddress
	for i, l := range s.listeners {
		if addr, err := types.NewNetAddress(s.config.Targets[i].Node.ID, l.Addr()); err == nil {
			addrs = append(addrs, *addr)
		}
	}

	return addrs
}

// Close ends all tunnels and waits for those that native nodes have opened. The transport waits
// for the others. To close it again does nothing.
func (s *Server) Close() error { return s.closed() }

func (s *Server) close() error {
	s.cancel()
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	s.mtx.Lock()
	for conn := range s.ends {
		_ = conn.Close() // its tunnel ends
	}
	s.mtx.Unlock()
	s.wg.Wait()
	s.refused.Close()

	return errors.Join(errs...)
}

func (s *Server) acceptAt(l net.Listener, t Target) {
	socket.Accept(s.ctx, l, func(conn net.Conn) {
		from := netgroup.FromAddr(conn.RemoteAddr())
		release, err := s.take(t.Node.ID, from)
		if err != nil {
			s.refused.Event(slog.LevelInfo, from, "tunnel refused", err.Error(), "target", t.Node.ID, "address", conn.RemoteAddr())
			_ = conn.Close()

			return
		}
		s.wg.Go(func() {
			defer release()
			s.serveIn(conn, t)
		})
	}, func(retryIn time.Duration, err error) {
		s.config.Logger.Warn("unable to accept a connection", "address", l.Addr(), "retry_in", retryIn, "err", err)
	})
}

var (
	errBlocked = errors.New("the IP is blocked ([p2p].blocked_ips)")
	errFull    = errors.New("the target has as many tunnels as it may have")
	errCrowded = errors.New("the IP has as many tunnels to the target as it may have")
)

// take counts a tunnel to the target until release.
func (s *Server) take(target types.ID, from netip.Addr) (release func(), err error) {
	key := hostOf{target, netgroup.PublicHost(from)}
	s.mtx.Lock()
	defer s.mtx.Unlock()
	switch {
	case s.config.Blocks != nil && s.config.Blocks(from):
		return nil, errBlocked
	case s.count[target] >= maxTunnels:
		return nil, errFull
	case key.host.IsValid() && s.hosts[key] >= maxPerHost:
		return nil, errCrowded
	}
	s.count[target]++
	s.hosts[key]++

	return func() {
		s.mtx.Lock()
		defer s.mtx.Unlock()
		s.count[target]--
		if s.hosts[key]--; s.hosts[key] == 0 {
			delete(s.hosts, key)
		}
	}, nil
}

// serveIn joins a native connection to the target.
func (s *Server) serveIn(conn net.Conn, t Target) {
	defer s.track(conn)()
	ctx, cancel := context.WithTimeout(s.ctx, openTimeout)
	defer cancel()
	stream, err := open(ctx, s.side, t.Node, protocolIn, conn.RemoteAddr().String())
	if err != nil {
		s.refused.Event(slog.LevelInfo, netgroup.FromAddr(conn.RemoteAddr()), "tunnel could not be opened", "target",
			"target", t.Node.ID, "address", conn.RemoteAddr(), "err", err)

		return
	}
	defer s.track(stream)()
	s.pass(conn, stream, t.Node.ID, "in")
}

// serveOut joins a stream of a target to the native node that it names.
func (s *Server) serveOut(from types.ID, stream net.Conn) {
	defer s.track(stream)()
	address, err := readAddress(stream)
	if err != nil {
		return
	}
	known := slices.ContainsFunc(s.config.Reach, func(a *types.NetAddress) bool { return a.DialString() == address })
	var reason string
	switch {
	case !s.isTarget(from):
		reason = "the bridge has no tunnel for this node ([bridge].tunnels)"
	case address != "" && !known:
		reason = "the bridge opens tunnels to its native nodes only ([p2p].persistent_peers)"
	case !s.takeOut(from):
		reason = errFull.Error()
	default:
		defer s.releaseOut(from)
	}
	var conn net.Conn
	if reason == "" && address != "" {
		ctx, cancel := context.WithTimeout(s.ctx, openTimeout)
		defer cancel()
		if conn, err = s.config.Sockets.DialContext(ctx, "tcp", address); err != nil {
			reason = "the native node cannot be reached"
		} else {
			defer s.track(conn)()
		}
	}
	if reason != "" {
		s.refused.Event(slog.LevelInfo, netgroup.FromAddr(stream.RemoteAddr()), "tunnel refused", reason,
			"node", from, "address", address)
		refuse(stream, reason)

		return
	}
	if accept(stream) != nil {
		return // the node has left
	}
	if address == "" {
		_, _ = stream.Read(make([]byte, 1)) // the node keeps it to stay in reach

		return
	}
	s.pass(conn, stream, from, "out")
}

func (s *Server) isTarget(id types.ID) bool {
	return slices.ContainsFunc(s.config.Targets, func(t Target) bool { return t.Node.ID == id })
}

func (s *Server) takeOut(from types.ID) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.out[from] >= maxTunnels {
		return false
	}
	s.out[from]++

	return true
}

func (s *Server) releaseOut(from types.ID) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.out[from]--
}

func (s *Server) pass(conn, stream net.Conn, node types.ID, direction string) {
	logger := s.config.Logger.With("node", node, "native", conn.RemoteAddr(), "direction", direction)
	logger.Info("tunnel is open")
	passOn(conn, stream)
	logger.Info("tunnel has ended")
}

// track lets Close end the connection. The function that it returns closes it.
func (s *Server) track(conn net.Conn) func() {
	s.mtx.Lock()
	s.ends[conn] = struct{}{}
	s.mtx.Unlock()
	if s.ctx.Err() != nil {
		_ = conn.Close()
	}

	return func() {
		s.mtx.Lock()
		delete(s.ends, conn)
		s.mtx.Unlock()
		_ = conn.Close() // it may be closed already
	}
}
