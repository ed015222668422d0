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
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

const (
	// maxTunnels bounds the tunnels of one libp2p node in each direction, which is what its
	// libp2p grants a peer without a session. maxPerHost bounds those that native nodes at one
	// public IP address (IPv6: one /64) have opened to it.
	maxTunnels = 24
	maxPerHost = 4
	// reserved are those of maxTunnels that native nodes have only at hosts of configured ones.
	reserved = 4
	// maxHeaders bounds the connections from proxies whose PROXY header has not come.
	maxHeaders = 64
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

// Dialable reports whether the bridge has an address of the node. Otherwise native nodes reach it
// only while it keeps a connection to the bridge.
func (t Target) Dialable() bool { return t.Node.Hostname != "" || t.Node.Dialable() }

// Config says which tunnels a bridge has.
type Config struct {
	Targets []Target
	// Where returns where the bridge dials a target now; nil: at Target.Node.
	Where func(types.ID) *types.NetAddress
	// Reach returns the native nodes to which the targets may open tunnels now, by the address as
	// it is there, by its host name, or by an IP to which that leads now; nil: none. Nobody else may
	// open any, nor to any other address. A tunnel to a node that is there no more goes on.
	Reach func() []*types.NetAddress
	// Blocks reports whether no tunnel may lead to the native node, which Reach has named, or
	// come from the IP, or lead there; nil: nobody is blocked. The ID is empty for a native node
	// that has dialed, since the bridge does not learn it. When Blocks blocks more than before,
	// EndBlocked ends the tunnels that there are.
	Blocks func(id types.ID, ip netip.Addr) bool
	// Admission is asked about each connection to a port; nil: all are let in. If it is a
	// compat.ConnReservation too, it says which hosts have places apart. If it is a Judge, it is
	// told how tunnels end.
	Admission compat.ConnAdmission
	// Proxies are the networks of the proxies in front of the ports (native.WithProxyProtocol).
	Proxies []netip.Prefix
	// Sockets replaces the system's TCP, unless it is nil.
	Sockets compat.Sockets
	// Logger may be nil.
	Logger *slog.Logger

	times times // set by tests; zero: the default ones
}

// Judge learns what the end of a tunnel that a native node has opened says of its host.
type Judge interface {
	// TunnelEnded tells how long the tunnel was open, zero if it could not be opened, and
	// whether the native node has ended it.
	TunnelEnded(host netip.Prefix, lasted time.Duration, byNode bool)
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
	headers   *places.Places              // of connections whose PROXY header is awaited
	counted   counters

	mtx   sync.Mutex
	ends  map[net.Conn]types.ID // of tunnels; the ID is that of a native node that a target has dialed
	out   map[types.ID]int      // tunnels that the targets have opened, and the streams they keep
	kept  map[types.ID]int      // the latter
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
	if config.times == (times{}) {
		config.times = defaultTimes()
	}
	s := &Server{
		side: side, config: config, events: summary.New(config.Logger), ends: make(map[net.Conn]types.ID),
		places: make(map[types.ID]*places.Places), out: make(map[types.ID]int), kept: make(map[types.ID]int),
		hosts:   make(map[hostOf]int),
		headers: places.New(places.Limits{Total: maxHeaders, PerHost: maxHeaders}), counted: newCounters(),
	}
	if err := proxied.Networks(config.Proxies).Validate(); err != nil {
		return nil, fmt.Errorf("%w: Proxies: %w", compat.ErrInvalidOption, err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.closed = sync.OnceValue(s.close)
	for _, t := range config.Targets {
		s.places[t.Node.ID] = newPlaces()
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
	s.end(func(types.ID, net.Conn) bool { return true })
	s.wg.Wait()
	s.events.Close()

	return errors.Join(errs...)
}

// EndBlocked ends the tunnels that come from a blocked IP, or lead there or to a blocked node.
func (s *Server) EndBlocked() { s.end(s.blocksConn) }

// end ends the tunnels one end of which is chosen.
func (s *Server) end(choose func(types.ID, net.Conn) bool) {
	s.mtx.Lock()
	ends := maps.Clone(s.ends)
	s.mtx.Unlock()
	var closing sync.WaitGroup // each may wait for its remote
	for conn, id := range ends {
		if choose(id, conn) {
			closing.Go(func() { _ = conn.Close() }) // it may be closed already
		}
	}
	closing.Wait()
}

func (s *Server) blocks(id types.ID, ip netip.Addr) bool {
	return s.config.Blocks != nil && s.config.Blocks(id, ip)
}

func (s *Server) blocksConn(id types.ID, conn net.Conn) bool {
	return s.blocks(id, netgroup.FromAddr(conn.RemoteAddr()))
}

func (s *Server) isTarget(id types.ID) bool {
	return slices.ContainsFunc(s.config.Targets, func(t Target) bool { return t.Node.ID == id })
}

// where returns where the bridge dials the target now, unless it keeps a connection.
func (s *Server) where(t Target) Target {
	if s.config.Where != nil {
		if at := s.config.Where(t.Node.ID); at != nil {
			t.Node = *at
		}
	}

	return t
}

// track lets Close and EndBlocked end the connection, which may be one to the native node with the
// ID. The function that it returns closes it.
func (s *Server) track(id types.ID, conn net.Conn) func() {
	s.mtx.Lock()
	s.ends[conn] = id
	s.mtx.Unlock()
	if s.ctx.Err() != nil || s.blocksConn(id, conn) { // since the connection was made
		_ = conn.Close()
	}

	return func() {
		s.mtx.Lock()
		delete(s.ends, conn)
		s.mtx.Unlock()
		_ = conn.Close() // it may be closed already
	}
}
