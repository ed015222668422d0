package lp2p

import (
	"context"
	"net"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxKnownPeers bounds how many peers a transport remembers by TM2 ID.
const maxKnownPeers = 8192

// knownPeer is what a transport has learned of a TM2 ID. The peer ID follows from the
// key: it cannot become wrong.
type knownPeer struct {
	id peer.ID
	at string // where it was asked and answered last, as it was dialed; empty if nowhere
}

// learn remembers the peer ID behind a TM2 ID.
func (t *Transport) learn(id types.ID, p peer.ID) { t.learnAt(id, p, "") }

// learnAt is learn for a peer that has proved its ID at an address.
func (t *Transport) learnAt(id types.ID, p peer.ID, at string) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	old, ok := t.known[id]
	if !ok && len(t.known) >= maxKnownPeers {
		for other := range t.known {
			delete(t.known, other)

			break
		}
	}
	if at == "" {
		at = old.at
	}
	t.known[id] = knownPeer{id: p, at: at}
}

func (t *Transport) knownPeer(id types.ID) (peer.ID, bool) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	known, ok := t.known[id]

	return known.id, ok
}

func (t *Transport) provedAt(addr types.NetAddress) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return t.known[addr.ID].at == dialString(addr)
}

// lookUp returns the peer ID behind the address's TM2 ID: the one we know, or that
// of who answers at the address, if it is the right one.
func (t *Transport) lookUp(ctx context.Context, addr types.NetAddress) (peer.ID, error) {
	if id, ok := t.knownPeer(addr.ID); ok {
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
	t.metrics.probes.count(outcomeOf(err))
	if err != nil {
		return "", err
	}
	t.learnAt(addr.ID, id, dialString(addr))

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
// show it: one that the peer has opened comes from anywhere. Whoever is told that the
// peer was dialed there, as an address book, may tell it to others.
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

// PeerID returns the peer ID behind a TM2 ID if the transport has learned it.
func (t *Transport) PeerID(id types.ID) (peer.ID, bool) { return t.knownPeer(id) }

func (t inner) Learn(p peer.ID) (types.ID, error) {
	id, err := p2paddr.TM2ID(p)
	if err != nil {
		return "", err
	}
	t.learn(id, p)

	return id, nil
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

func (t inner) Suggest(id types.ID, addrs ...types.NetAddress) {
	kept := make([]types.NetAddress, 0, maxSuggested)
	for _, addr := range addrs {
		if addr.ID == id && addr.IP != nil && len(kept) < maxSuggested {
			kept = append(kept, types.NetAddress{ID: id, IP: slices.Clone(addr.IP), Port: addr.Port})
		}
	}
	t.suggested.set(id, kept)
}

const (
	maxSuggested      = 4    // addresses of one peer
	maxSuggestedPeers = 1024 // peers with suggestions
)

// suggestions are further addresses of peers, for as long as the transport lives
// or until they are replaced. The zero value is empty.
type suggestions struct {
	mtx   sync.Mutex
	addrs map[types.ID][]types.NetAddress // never changed in place
}

func (s *suggestions) set(id types.ID, addrs []types.NetAddress) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	delete(s.addrs, id)
	if len(addrs) == 0 {
		return
	}
	if s.addrs == nil {
		s.addrs = make(map[types.ID][]types.NetAddress)
	}
	for old := range s.addrs {
		if len(s.addrs) < maxSuggestedPeers {
			break
		}
		delete(s.addrs, old)
	}
	s.addrs[id] = addrs
}

func (s *suggestions) of(id types.ID) []types.NetAddress {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.addrs[id]
}
