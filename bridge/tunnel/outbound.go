package tunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// serveOut joins a stream of a target to the native node that it names.
func (s *Server) serveOut(from types.ID, stream net.Conn) {
	defer s.track("", stream)()
	address, err := readAddress(stream, s.config.times.open)
	if err != nil {
		return
	}
	reason := s.mayOpen(from)
	if reason == "" {
		defer s.releaseOut(from)
	}
	var conn net.Conn
	if reason == "" && address != "" {
		var node types.ID
		if node, conn, reason, err = s.dialNative(address); conn != nil {
			defer s.track(node, conn)()
		}
	}
	if reason != "" {
		s.refuseOut(from, stream, address, reason, err)

		return
	}
	if accept(stream) != nil {
		return // the node has left
	}
	if address == "" {
		s.keep(from, stream)

		return
	}
	s.pass(conn, stream, from, Out)
}

// refuseOut tells why the node gets no tunnel to the address. err, which may be nil, is for the
// log alone: it may name addresses that are the bridge's own business.
func (s *Server) refuseOut(from types.ID, stream net.Conn, address, reason string, err error) {
	s.counted.refuse(from, Out, reason)
	s.events.Event(slog.LevelInfo, netgroup.FromAddr(stream.RemoteAddr()), "tunnel refused", reason,
		"node", from, "address", address, "reason", reason, "err", cmp.Or(err, errors.New(reasons[reason])))
	refuse(stream, reasons[reason], s.config.times.open)
}

// keep returns when the node, which stays in reach by the stream, has ended it.
func (s *Server) keep(from types.ID, stream net.Conn) {
	count := func(n int) {
		s.mtx.Lock()
		defer s.mtx.Unlock()
		if s.kept[from] += n; s.kept[from] == 0 {
			delete(s.kept, from)
		}
	}
	count(1)
	defer count(-1)
	_, _ = stream.Read(make([]byte, 1)) // nothing comes but its end
}

// mayOpen returns why the node may open no tunnel, or nothing and takes a place for one.
func (s *Server) mayOpen(from types.ID) (reason string) {
	switch {
	case !s.isTarget(from):
		return reasonNoTarget
	case !s.takeOut(from):
		return reasonFull
	default:
		return ""
	}
}

// dialNative dials the native node at the address for a tunnel. If that is none to which tunnels
// may lead, is blocked or cannot be reached, it returns the reason, and its error if there is one.
func (s *Server) dialNative(address string) (id types.ID, conn net.Conn, reason string, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.config.times.dial)
	defer cancel()
	node, err := s.reaches(ctx, address)
	switch {
	case err != nil:
		return "", nil, reasonUnreachable, err
	case node == nil:
		return "", nil, reasonNotAllowed, nil
	}
	conn, err = s.config.Sockets.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", nil, reasonUnreachable, err
	}
	if s.blocksConn(node.ID, conn) { // a host name leads there, or it is blocked since
		_ = conn.Close()

		return "", nil, reasonBlocked, fmt.Errorf("%w: %s", errBlocked, conn.RemoteAddr())
	}

	return node.ID, conn, "", nil
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
