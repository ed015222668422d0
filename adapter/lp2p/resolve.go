package lp2p

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dialnames"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// proofAge is how long an answer of a peer proves that the peer is at the address.
const proofAge = time.Hour

// provedAt reports whether the peer has answered at the address within proofAge. It returns
// false for a host name, whose IP may have changed.
func (t *Transport) provedAt(addr types.NetAddress) bool {
	return addr.Hostname == "" && slices.ContainsFunc(t.book.Of(addr.ID), func(e addrbook.Entry) bool {
		return e.Addr.Equals(addr) && e.Failures == 0 && time.Since(e.Answered) < proofAge
	})
}

// noteAnswer records the address at which the peer has answered, and its key. A connection
// that the peer has opened, or that began at a relay, does not show where the peer listens.
func (t *Transport) noteAnswer(id types.ID, c network.Conn) {
	_, err := p2paddr.Learn(t.book, c.RemotePeer())
	ip, port, ok := p2paddr.Endpoint(c.RemoteMultiaddr())
	if ok && err == nil && c.Stat().Direction == network.DirOutbound && !t.met(c) {
		t.book.MarkAnswered(&types.NetAddress{ID: id, IP: ip, Port: port}, types.StackLibp2p)
	}
}

// alternatives returns the other addresses that a peer has announced, for one that was not
// found at its address. Neither what other nodes tell nor a former address counts: when a
// host name has got another IP, the operator wants the peer to be dialed there.
func (t *Transport) alternatives(addr types.NetAddress) (others []types.NetAddress) {
	for _, e := range t.book.Of(addr.ID) {
		if e.Announced() && e.Due(time.Now()) && !e.Addr.Equals(addr) {
			others = append(others, e.Addr)
		}
	}

	return others
}

// lookUp returns the peer ID behind the address's TM2 ID: from the book, or from the node
// that answers at the address.
func (t *Transport) lookUp(ctx context.Context, addr types.NetAddress) (peer.ID, error) {
	if id, ok := p2paddr.Known(t.book, addr.ID); ok {
		return id, nil
	}

	return t.ask(ctx, addr)
}

// ask probes the address, or those of a host name within the time of one dial, and returns
// the peer ID of the node there, which must have the TM2 ID of the address.
func (t *Transport) ask(ctx context.Context, addr types.NetAddress) (peer.ID, error) {
	return asked(ctx, t, addr, func(ctx context.Context, at types.NetAddress) (peer.ID, error) {
		id, err := probeIdentity(ctx, t.probeDial, t.opts.timeouts.Dial, at.DialString())
		if err != nil {
			return "", err
		}

		return id, checkFound(at, id)
	}, func(id peer.ID) peer.ID { return id })
}

// asked returns what askAt has found at the address, or at those of its host name, and records
// whom it has found: the result of idOf.
func asked[T any](
	ctx context.Context, t *Transport, addr types.NetAddress,
	askAt func(context.Context, types.NetAddress) (T, error), idOf func(T) peer.ID,
) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, t.opts.timeouts.Dial)
	defer cancel()
	found, err := dialnames.Dial(ctx, addr, askAt)
	if err == nil {
		_, err = p2paddr.Learn(t.book, idOf(found))
	}
	t.metrics.probes.count(outcomeOf(err))
	if err == nil && addr.Hostname == "" {
		t.book.MarkAnswered(&addr, types.StackLibp2p)
	}

	return found, err
}

// probeDial is the dialFunc of probes.
func (t *Transport) probeDial(ctx context.Context, network, address string) (net.Conn, error) {
	if conn := t.opts.opened(address); conn != nil {
		return conn, nil
	}
	if t.opts.sockets != nil {
		return t.opts.sockets.DialContext(ctx, network, address)
	}

	return socket.Dial(ctx, &net.Dialer{Control: t.gater.control}, network, address)
}

// checkFound returns a *compat.WrongIDError unless the peer has the TM2 ID of the address.
func checkFound(addr types.NetAddress, found peer.ID) error {
	id, err := p2paddr.TM2ID(found)
	if err != nil || id != addr.ID {
		return &compat.WrongIDError{Addr: addr.DialString(), Asked: addr.ID, Found: id, FoundPeer: found.String()}
	}

	return nil
}

// prove probes the address before the peer is reported to be there, unless the connection
// or an earlier answer shows it: an inbound connection does not show where the peer
// listens. Callers pass a proved address on to other nodes.
func (t *Transport) prove(ctx context.Context, c network.Conn, addr types.NetAddress) error {
	if c.Stat().Direction != network.DirInbound || t.met(c) || t.provedAt(addr) {
		return nil
	}
	if ip, port, ok := p2paddr.Endpoint(c.RemoteMultiaddr()); ok && port == addr.Port && ip.Equal(addr.IP) {
		return nil // over QUIC it is the listener's
	}
	_, err := t.ask(ctx, addr)

	return err
}

// dialAddrs returns the addresses to dial for one IP and port.
func (o *options) dialAddrs(ip net.IP, port uint16) ([]multiaddr.Multiaddr, error) {
	var addrs []multiaddr.Multiaddr
	if o.quic != quicOff {
		quic, err := p2paddr.QUICMultiaddr(ip, port)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, quic)
	}
	if o.quic != quicForced {
		tcp, err := p2paddr.TCPMultiaddr(ip, port)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, tcp)
	}

	return addrs, nil
}

// dialMultiaddrs returns where to dial. It looks up a host name anew, and not by libp2p,
// which would not tell why a name does not resolve.
func (t *Transport) dialMultiaddrs(ctx context.Context, addr types.NetAddress) ([]multiaddr.Multiaddr, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*t.opts.timeouts.Dial) // of which Resolve takes half
	defer cancel()
	addrs, err := dialnames.Resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	var maddrs []multiaddr.Multiaddr
	for _, a := range addrs {
		here, err := t.opts.dialAddrs(a.IP, a.Port)
		if err != nil {
			return nil, err
		}
		maddrs = append(maddrs, here...)
	}

	return maddrs, nil
}

func (t inner) Resolve(ctx context.Context, addr types.NetAddress) (peer.AddrInfo, error) {
	if err := t.enter(); err != nil {
		return peer.AddrInfo{}, err
	}
	defer t.tasks.Done()

	ctx, cancel := t.untilClose(ctx)
	defer cancel()
	id, err := t.lookUp(ctx, addr)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	maddrs, err := t.dialMultiaddrs(ctx, addr)
	if err != nil {
		return peer.AddrInfo{}, err
	}

	return peer.AddrInfo{ID: id, Addrs: maddrs}, nil
}

// AddrBook returns the book in which the transport keeps what it learns of peers.
func (t *Transport) AddrBook() *addrbook.Book { return t.book }
