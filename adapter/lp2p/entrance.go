package lp2p

import (
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

var (
	errSilent   = errors.New("remote did not begin to speak")
	errHTTP     = errors.New("an HTTP client, which is told what this port is")
	errNoHeader = errors.New("no PROXY header")
	errEvicted  = errors.New("gave way to a newer connection before the remote proved its ID")
	errTooOften = errors.New("too many connections from this IP within a short time")
)

const (
	// minPlaces and maxPlaces bound the places of inbound TCP connections whose remotes
	// have not proved an ID. Such a connection holds a socket, a goroutine and some 10 KiB.
	minPlaces, maxPlaces = 16, 256
	// configuredPlaces are further places for IPs of configured peers.
	configuredPlaces = 64
)

// places derives the places from the limits. One host may have all of them while nobody
// else comes.
func (l Limits) places() places.Limits {
	total := max(minPlaces, min(l.Connections/2, maxPlaces))

	return places.Limits{Total: total, PerHost: total, Configured: configuredPlaces}
}

// entrance decides which inbound TCP connections get a handshake. All methods may be called
// concurrently.
type entrance struct {
	logger     *slog.Logger
	timeouts   Timeouts
	places     *places.Places
	proxies    proxied.Networks
	rate       *rate.Limiter // of handshakes
	gater      *gater
	serveOther ServeFunc     // nil: no other stack
	sniff      time.Duration // SniffTimeout
	inbound    *summary.Log  // of connections that come to nothing
}

// newEntrance returns an entrance. A nil gater refuses nothing.
func newEntrance(o *options, g *gater) *entrance {
	if g == nil {
		g = newGater()
	}

	return &entrance{
		logger: o.logger, timeouts: o.timeouts, places: places.New(o.limits.places()), proxies: o.proxies,
		rate: newConnRateLimiter(o.limits.ConnectionsPerIP, o.loopbackCounts), gater: g, inbound: summary.New(o.logger),
		serveOther: o.serveOther, sniff: o.sniff,
	}
}

// enter takes a place for a connection, which closes when another one takes it. It closes
// the connection and returns nil if there is no place, or the IP is blocked.
func (e *entrance) enter(conn net.Conn) *places.Place {
	ip := netgroup.FromAddr(conn.RemoteAddr())
	if e.gater.blockedIP(ip) {
		e.inbound.Event(slog.LevelInfo, ip, "inbound connection refused", compat.RejectBanned.String(),
			"address", conn.RemoteAddr(), "err", banned())
		e.close(conn)

		return nil
	}
	p, err := e.places.Take(ip, e.gater.guard.Reserves(ip), func() { e.close(conn) })
	if err != nil {
		e.inbound.Event(slog.LevelWarn, ip, "inbound connection refused", "no place", "address", conn.RemoteAddr(), "err", err)
		e.close(conn)

		return nil
	}

	return p
}

// mayHandshake reports whether the rate of handshakes of the connection's IP allows another
// one. A configured peer's does.
func (e *entrance) mayHandshake(conn net.Conn) bool {
	ip := netgroup.FromAddr(conn.RemoteAddr())

	return e.gater.guard.Reserves(ip) || e.rate.Allow(ip)
}

// logFailure logs why a connection did not become one of libp2p.
func (e *entrance) logFailure(from net.Addr, err error) {
	e.inbound.Event(slog.LevelInfo, netgroup.FromAddr(from), "inbound connection failed", kindOfFailure(err),
		"address", from, "err", err)
}

// kindOfFailure names the kind of a failure for the summary in the log. Health checks are of
// one kind: those that connect and say nothing, and those that speak another protocol.
func kindOfFailure(err error) string {
	_, foreign := errors.AsType[*compat.ForeignError](err)
	reject, refused := errors.AsType[*compat.RejectError](err)
	switch {
	case refused:
		return reject.Code.String()
	case errors.Is(err, errEvicted):
		return "no place"
	case errors.Is(err, errNoHeader):
		return errNoHeader.Error()
	case errors.Is(err, errTooOften):
		return "rate"
	case foreign, errors.Is(err, errSilent):
		return "not a libp2p node"
	default:
		return "handshake"
	}
}

func (e *entrance) close(conn net.Conn) {
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		e.logger.Debug("connection closed with an error", "address", conn.RemoteAddr(), "err", err)
	}
}
