package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

const (
	// maxTunnels bounds the tunnels of one libp2p node in each direction, which is what its
	// libp2p grants a peer without a session. maxPerHost bounds those that native nodes at one
	// public IP address (IPv6: one /64) have opened to it.
	maxTunnels = 24
	maxPerHost = 4
	// settled is how old a tunnel is when its native node has proved its ID to the target, which
	// ends it otherwise. Until then it gives way to one from a less crowded network.
	settled = openTimeout + 2*native.HandshakeTimeout
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
	// Reach returns the native nodes to which the targets may open tunnels now, by the address as
	// it is there; nil: none. Nobody else may open any, nor to any other address.
	Reach func() []*types.NetAddress
	// Blocks reports whether no tunnel may come from the IP, or lead there; nil: nobody is
	// blocked. When it blocks more than before, EndBlocked ends the tunnels that there are.
	Blocks func(ip netip.Addr) bool
	// Sockets replaces the system's TCP, unless it is nil.
	Sockets compat.Sockets
	// Logger may be nil.
	Logger *slog.Logger
}

// Server is the bridge's end of tunnels. All methods may be called concurrently.
type Server struct {
	side   *lp2p.Transport
	config Config
	events *summary.Log

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	closed func() error

	listeners []net.Listener
	places    map[types.ID]*places.Places // of the tunnels that native nodes have opened, by target

	mtx   sync.Mutex
	ends  map[net.Conn]struct{} // of tunnels
	out   map[types.ID]int      // tunnels that the targets have opened, and the streams they keep
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
		side: side, config: config, events: summary.New(config.Logger), ends: make(map[net.Conn]struct{}),
		places: make(map[types.ID]*places.Places), out: make(map[types.ID]int), hosts: make(map[hostOf]int),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.closed = sync.OnceValue(s.close)
	for _, t := range config.Targets {
		s.places[t.Node.ID] = places.New(places.Limits{Total: maxTunnels, PerHost: maxTunnels})
	}
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
	s.end(func(net.Conn) bool { return true })
	s.wg.Wait()
	s.events.Close()

	return errors.Join(errs...)
}

// EndBlocked ends the tunnels that come from a blocked IP, or lead there.
func (s *Server) EndBlocked() {
	s.end(func(conn net.Conn) bool { return s.blocks(netgroup.FromAddr(conn.RemoteAddr())) })
}

// end ends the tunnels one end of which is chosen.
func (s *Server) end(choose func(net.Conn) bool) {
	s.mtx.Lock()
	ends := slices.Collect(maps.Keys(s.ends))
	s.mtx.Unlock()
	var closing sync.WaitGroup // each may wait for its remote
	for _, conn := range ends {
		if choose(conn) {
			closing.Go(func() { _ = conn.Close() }) // it may be closed already
		}
	}
	closing.Wait()
}

func (s *Server) blocks(ip netip.Addr) bool { return s.config.Blocks != nil && s.config.Blocks(ip) }

func (s *Server) acceptAt(l net.Listener, t Target) {
	socket.Accept(s.ctx, l, func(conn net.Conn) {
		from := netgroup.FromAddr(conn.RemoteAddr())
		ctx, cancel := context.WithCancel(s.ctx)
		place, release, err := s.take(t.Node.ID, from, func() {
			cancel()
			_ = conn.Close() // it may be closed already
		})
		if err != nil {
			cancel()
			s.events.Event(slog.LevelInfo, from, "tunnel refused", err.Error(), "target", t.Node.ID, "address", conn.RemoteAddr())
			_ = conn.Close()

			return
		}
		s.wg.Go(func() {
			defer cancel()
			defer release()
			s.serveIn(ctx, conn, t, place)
		})
	}, func(retryIn time.Duration, err error) {
		s.events.Event(slog.LevelWarn, netip.Addr{}, "unable to accept a connection", "system",
			"address", l.Addr(), "retry_in", retryIn, "err", err)
	})
}

var (
	errBlocked = errors.New("the IP is blocked ([p2p].blocked_ips)")
	errFull    = errors.New("the target has as many tunnels as it may have")
	errCrowded = errors.New("the IP has as many tunnels to the target as it may have")
)

// take counts a tunnel to the target until release. When there are as many as there may be, it
// takes the place of one that is not settled, by the rules of package places; that one is evicted.
func (s *Server) take(target types.ID, from netip.Addr, evict func()) (p *places.Place, release func(), err error) {
	if s.blocks(from) {
		return nil, nil, errBlocked
	}
	key := hostOf{target, netgroup.PublicHost(from)}
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if key.host.IsValid() && s.hosts[key] >= maxPerHost {
		return nil, nil, errCrowded
	}
	if p, err = s.places[target].Take(from, false, evict); err != nil {
		return nil, nil, errFull
	}
	s.hosts[key]++

	return p, func() {
		p.Leave()
		s.mtx.Lock()
		defer s.mtx.Unlock()
		if s.hosts[key]--; s.hosts[key] == 0 {
			delete(s.hosts, key)
		}
	}, nil
}

// serveIn joins a native connection to the target. The context ends when the place is taken.
func (s *Server) serveIn(ctx context.Context, conn net.Conn, t Target, place *places.Place) {
	defer s.track(conn)()
	settle := time.AfterFunc(settled, func() { place.Settle() })
	defer settle.Stop()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stream, err := open(ctx, s.side, t.Node, protocolIn, conn.RemoteAddr().String())
	if err != nil {
		s.events.Event(slog.LevelInfo, netgroup.FromAddr(conn.RemoteAddr()), "tunnel could not be opened", "target",
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
	var reason string
	switch {
	case !s.isTarget(from):
		reason = "the bridge has no tunnel for this node ([bridge].tunnels)"
	case address != "" && !s.reaches(address):
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
			if s.blocks(netgroup.FromAddr(conn.RemoteAddr())) { // a host name leads there
				reason = errBlocked.Error()
			}
		}
	}
	if reason != "" {
		s.events.Event(slog.LevelInfo, netgroup.FromAddr(stream.RemoteAddr()), "tunnel refused", reason,
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

// reaches reports whether the targets may open tunnels to the address.
func (s *Server) reaches(address string) bool {
	return s.config.Reach != nil &&
		slices.ContainsFunc(s.config.Reach(), func(a *types.NetAddress) bool { return a.DialString() == address })
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
	if s.out[from]--; s.out[from] == 0 {
		delete(s.out, from)
	}
}

// pass passes on bytes until one end closes. A stranger can open tunnels as often as it likes,
// so the log sums them up.
func (s *Server) pass(conn, stream net.Conn, node types.ID, direction string) {
	from, args := netgroup.FromAddr(conn.RemoteAddr()), []any{"node", node, "native", conn.RemoteAddr(), "direction", direction}
	s.events.Event(slog.LevelInfo, from, "tunnel is open", direction, args...)
	passOn(conn, stream)
	s.events.Event(slog.LevelInfo, from, "tunnel has ended", direction, args...)
}

// track lets Close and EndBlocked end the connection. The function that it returns closes it.
func (s *Server) track(conn net.Conn) func() {
	s.mtx.Lock()
	s.ends[conn] = struct{}{}
	s.mtx.Unlock()
	if s.ctx.Err() != nil || s.blocks(netgroup.FromAddr(conn.RemoteAddr())) { // since the connection was made
		_ = conn.Close()
	}

	return func() {
		s.mtx.Lock()
		delete(s.ends, conn)
		s.mtx.Unlock()
		_ = conn.Close() // it may be closed already
	}
}
