package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

func newPlaces() *places.Places {
	return places.New(places.Limits{Total: maxTunnels - reserved, PerHost: maxTunnels, Configured: reserved})
}

func (s *Server) acceptAt(l net.Listener, t Target) {
	proxies := proxied.Networks(s.config.Proxies)
	socket.Accept(s.ctx, l, func(conn net.Conn) {
		if proxies.Contain(conn.RemoteAddr()) {
			s.admitProxied(conn, t)
		} else {
			s.admit(conn, t, false)
		}
	}, func(retryIn time.Duration, err error) {
		s.events.Event(slog.LevelWarn, netip.Addr{}, "unable to accept a connection", "system",
			"address", l.Addr(), "retry_in", retryIn, "err", err)
	})
}

// admitProxied reads the PROXY header and then admits the connection as one from the client.
func (s *Server) admitProxied(conn net.Conn, t Target) {
	from := netgroup.FromAddr(conn.RemoteAddr())
	place, err := s.headers.Take(from, false, func() { _ = conn.Close() }) // it may be closed already
	if err != nil {
		s.refuseIn(conn, t, reasonFull, err)

		return
	}
	s.wg.Go(func() {
		client, err := proxied.Accept(s.ctx, conn, s.config.times.open)
		switch evicted := place.Leave(); {
		case evicted:
			s.refuseIn(conn, t, reasonFull, errEvicted)
		case err != nil:
			s.refuseIn(conn, t, reasonNoHeader, err)
		default:
			s.admit(client, t, netgroup.FromAddr(client.RemoteAddr()) == from)
		}
	})
}

// admit opens a tunnel for the connection on a goroutine, if its host may have one. Connections
// that are a proxy's own, as for a health check, are nobody's conduct.
func (s *Server) admit(conn net.Conn, t Target, ofProxy bool) {
	from := netgroup.FromAddr(conn.RemoteAddr())
	charged := s.config.Admission != nil && !ofProxy && !s.blocks("", from)
	if charged {
		if err := s.config.Admission.AdmitConn(from.AsSlice()); err != nil {
			s.refuseIn(conn, t, refusal(err), err)

			return
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	place, release, err := s.take(t.Node.ID, from, func() {
		cancel()
		_ = conn.Close() // it may be closed already
	})
	if err != nil {
		cancel()
		if charged {
			s.judge(from, 0, false)
		}
		s.refuseIn(conn, t, refusal(err), err)

		return
	}
	s.wg.Go(func() {
		defer cancel()
		defer release()
		if lasted, byNode := s.serveIn(ctx, conn, t, place); charged {
			s.judge(from, lasted, byNode)
		}
	})
}

func (s *Server) refuseIn(conn net.Conn, t Target, reason string, err error) {
	s.counted.refuse(t.Node.ID, In, reason)
	s.events.Event(slog.LevelInfo, netgroup.FromAddr(conn.RemoteAddr()), "tunnel refused", reason,
		"target", t.Node.ID, "address", conn.RemoteAddr(), "reason", reason, "err", err)
	_ = conn.Close() // it may be closed already
}

// refusal returns the reason for an error of admit.
func refusal(err error) string {
	switch {
	case errors.Is(err, errBlocked):
		return reasonBlocked
	case errors.Is(err, errFull):
		return reasonFull
	case errors.Is(err, errCrowded):
		return reasonCrowded
	default:
		return reasonAdmission
	}
}

var (
	errBlocked = errors.New("the IP is blocked ([p2p].blocked_ips)")
	errFull    = errors.New("the target has as many tunnels as it may have")
	errCrowded = errors.New("the IP has as many tunnels to the target as it may have")
	errEvicted = errors.New("its place went to another connection whose PROXY header is awaited")
)

// take counts a tunnel to the target until release. When there are as many as there may be, it
// takes the place of one that is not settled, by the rules of package places; that one is
// evicted. A host of a configured node has the places of all others too.
func (s *Server) take(target types.ID, from netip.Addr, evict func()) (p *places.Place, release func(), err error) {
	if s.blocks("", from) {
		return nil, nil, errBlocked
	}
	configured := s.reserves(from)
	key := hostOf{target, netgroup.PublicHost(from)}
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if key.host.IsValid() && s.hosts[key] >= maxPerHost {
		return nil, nil, errCrowded
	}
	p, err = s.places[target].Take(from, configured, evict)
	if err != nil && configured {
		p, err = s.places[target].Take(from, false, evict)
	}
	if err != nil {
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

func (s *Server) reserves(ip netip.Addr) bool {
	reservation, ok := s.config.Admission.(compat.ConnReservation)

	return ok && reservation.ReservesConn(ip.AsSlice())
}

// judge tells the judge, if there is one, how a tunnel that Admission has let in has ended. What
// was not let in has cost its host nothing, so its end gives nothing back.
func (s *Server) judge(from netip.Addr, lasted time.Duration, byNode bool) {
	if j, ok := s.config.Admission.(Judge); ok {
		j.TunnelEnded(netgroup.Host(from), lasted, byNode)
	}
}

// serveIn joins a native connection to the target, and returns how long the tunnel was open and
// whether the native node has ended it. The context ends when the place is taken.
func (s *Server) serveIn(ctx context.Context, conn net.Conn, t Target, place *places.Place) (lasted time.Duration, byNode bool) {
	defer s.track("", conn)()
	from := netgroup.FromAddr(conn.RemoteAddr())
	settle := time.AfterFunc(settled, func() { place.Settle() })
	defer settle.Stop()
	ctx, cancel := context.WithTimeout(ctx, s.config.times.open)
	defer cancel()
	stream, err := open(ctx, s.side, s.where(t).Node, protocolIn, conn.RemoteAddr().String(), s.config.times.open)
	if err != nil {
		s.counted.refuse(t.Node.ID, In, reasonTarget)
		s.events.Event(slog.LevelInfo, from, "tunnel could not be opened", "target",
			"target", t.Node.ID, "address", conn.RemoteAddr(), "err", err)

		return 0, false
	}
	defer s.track("", stream)()
	begun := time.Now()
	byNode = s.pass(conn, stream, t.Node.ID, In)

	return time.Since(begun), byNode
}
