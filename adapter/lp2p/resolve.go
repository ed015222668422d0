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
)

// proofAge is how long a peer that has answered at an address counts as being there.
const proofAge = time.Hour

// provedAt reports whether the peer has answered at the address not long ago. What a host
// name stands for now is not known.
func (t *Transport) provedAt(addr types.NetAddress) bool {
	return addr.Hostname == "" && slices.ContainsFunc(t.book.Of(addr.ID), func(e addrbook.Entry) bool {
		return e.Addr.Equals(addr) && e.Failures == 0 && time.Since(e.Answered) < proofAge
	})
}

// noteAnswer remembers where this node has dialed the peer with the TM2 ID. A connection
// that the peer has opened, or that began at a relay, does not show where the peer listens.
func (t *Transport) noteAnswer(id types.ID, c network.Conn) {
	_, err := p2paddr.Learn(t.book, c.RemotePeer())
	ip, port, ok := p2paddr.Endpoint(c.RemoteMultiaddr())
	if ok && err == nil && c.Stat().Direction == network.DirOutbound && !t.met(c) {
		t.book.MarkAnswered(&types.NetAddress{ID: id, IP: ip, Port: port}, addrbook.Libp2p)
	}
}

// noteFailure remembers that the peer was not found at an address, and who was instead.
// A dial that this node ended itself, or had no resources for, says nothing.
func (t *Transport) noteFailure(addr types.NetAddress, err error) {
	if compat.ClassifyDial(err) != compat.DialLocal {
		t.book.MarkDialFailed(&addr, err)
	}
}

// alternatives returns where a peer says that it is beside an address at which it was not
// found. What others say of it is not enough, nor that it was there once: when a host name
// has come to stand for something else, the operator wants it there.
func (t *Transport) alternatives(addr types.NetAddress) (others []types.NetAddress) {
	for _, e := range t.book.Of(addr.ID) {
		if e.Announced() && e.Due(time.Now()) && !e.Addr.Equals(addr) {
			others = append(others, e.Addr)
		}
	}

	return others
}

// lookUp returns the peer ID behind the address's TM2 ID: the one we know, or that
// of who answers at the address, if it is the right one.
func (t *Transport) lookUp(ctx context.Context, addr types.NetAddress) (peer.ID, error) {
	if id, ok := p2paddr.Known(t.book, addr.ID); ok {
		return id, nil
	}

	return t.ask(ctx, addr)
}

// ask finds out who answers at the address, which has to be who it asks for.
func (t *Transport) ask(ctx context.Context, addr types.NetAddress) (peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, t.opts.timeouts.Dial)
	defer cancel()
	dial := t.opts.dialTCP
	if dial == nil {
		dial = (&net.Dialer{Control: t.gater.control}).DialContext
	}
	id, err := probeIdentity(ctx, dial, dialString(addr))
	if err == nil {
		err = checkFound(addr, id)
	}
	if err == nil {
		_, err = p2paddr.Learn(t.book, id)
	}
	t.metrics.probes.count(outcomeOf(err))
	if err != nil {
		return "", err
	}
	if addr.Hostname == "" {
		t.book.MarkAnswered(&addr, addrbook.Libp2p)
	}

	return id, nil
}

// checkFound returns a *compat.WrongIDError unless found is who the address asks for.
func checkFound(addr types.NetAddress, found peer.ID) error {
	id, err := p2paddr.TM2ID(found)
	if err != nil || id != addr.ID {
		return &compat.WrongIDError{Addr: addr.DialString(), Asked: addr.ID, Found: id, FoundPeer: found.String()}
	}

	return nil
}

// prove makes sure that the peer answers at the address when the connection does not
// show it: an inbound connection does not show where the peer listens. A caller that is
// told that the peer was dialed there may tell others so.
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

// maxResolved is how many addresses of one host name are dialed.
const maxResolved = 16

// dialMultiaddrs returns where to dial. A configured host name is looked up anew,
// and here: libp2p would not tell why it does not resolve.
func (t *Transport) dialMultiaddrs(ctx context.Context, addr types.NetAddress) ([]multiaddr.Multiaddr, error) {
	if addr.Hostname == "" {
		return t.opts.dialAddrs(addr.IP, addr.Port)
	}

	ctx, cancel := context.WithTimeout(ctx, t.opts.timeouts.Dial)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", addr.Hostname)
	if err != nil {
		return nil, err
	}
	maddrs := make([]multiaddr.Multiaddr, 0, min(len(ips), maxResolved))
	for _, ip := range ips[:min(len(ips), maxResolved)] {
		here, err := t.opts.dialAddrs(ip, addr.Port)
		if err != nil {
			return nil, err
		}
		maddrs = append(maddrs, here...)
	}

	return maddrs, nil
}

// dialString is where to dial in the form of the net package, which resolves names
// anew too.
func dialString(addr types.NetAddress) string {
	if addr.Hostname != "" {
		addr.IP = nil // the name is resolved anew
	}

	return addr.DialString()
}

func (t inner) Resolve(ctx context.Context, addr types.NetAddress) (peer.AddrInfo, error) {
	if err := t.enter(); err != nil {
		return peer.AddrInfo{}, err
	}
	defer t.tasks.Done()

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
