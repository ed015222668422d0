package lp2p

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
)

// errGaveWay is wrapped by the error for a stream whose slot another one has taken.
var errGaveWay = fmt.Errorf("%w: gave way to another stream", places.ErrFull)

// slots bounds the inbound streams that wait for their remote: in total, per host and per
// peer. When all are taken, the stream of the most crowded network gives way (package
// places). A slot is taken before anything is allocated for the remote.
type slots struct {
	places  *places.Places
	perPeer int
	rate    *handshakeRate // nil: as often as there are slots

	mtx   sync.Mutex
	peers map[peer.ID]int
}

// newSlots returns slots with the limits. Exempt peers have as many again, apart.
func newSlots(total, perIP, perPeer int) *slots {
	return &slots{
		places:  places.New(places.Limits{Total: total, PerHost: perIP, Configured: total}),
		perPeer: perPeer, peers: make(map[peer.ID]int),
	}
}

// slot is that of one stream.
type slot struct {
	*places.Place
	of   *slots
	peer peer.ID
	lost chan struct{} // closed when another stream has taken it
}

// takeSlot takes a slot for the stream, which the caller gives back by leave. If another stream
// takes the place before, this one is reset as busy. The error wraps places.ErrFull. The caller
// is a task.
func (t *Transport) takeSlot(of *slots, ns network.Stream) (*slot, error) {
	c := ns.Conn()
	s := &slot{of: of, peer: c.RemotePeer(), lost: make(chan struct{})}
	if !of.enter(s.peer) {
		return nil, fmt.Errorf("%w: the peer has %d of them", places.ErrFull, of.perPeer)
	}
	exempt := t.isExempt(s.peer)
	if of.rate != nil && !exempt && !of.rate.allow(s.peer) {
		of.exit(s.peer)

		return nil, fmt.Errorf("%w: the peer begins more than %d a second", places.ErrFull, of.rate.perSecond)
	}
	var err error
	s.Place, err = of.places.Take(ipOf(c.RemoteMultiaddr()), exempt, func() {
		close(s.lost)
		t.tasks.Go(func() { _ = ns.ResetWithError(network.StreamRateLimited) }) // it may wait for the connection
	})
	if err != nil {
		of.exit(s.peer)

		return nil, err
	}

	return s, nil
}

// leave gives the slot back, and the place if the stream still has it. It is called once.
func (s *slot) leave() {
	s.Leave()
	s.of.exit(s.peer)
}

// explain returns the error of a stream, with the reason if another one has taken the slot.
func (s *slot) explain(err error) error {
	select {
	case <-s.lost:
	default:
		return err
	}
	if errors.Is(err, errGaveWay) {
		return err
	}

	return fmt.Errorf("%w: %w", errGaveWay, err)
}

// enter counts a stream of the peer, unless that has as many as it may have.
func (s *slots) enter(p peer.ID) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.peers[p] >= s.perPeer {
		return false
	}
	s.peers[p]++

	return true
}

// exit undoes enter.
func (s *slots) exit(p peer.ID) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	decrement(s.peers, p)
}

func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// ipOf returns the IP of an address, or of the relay through which it leads. The IP is not
// valid if the address has none.
func ipOf(a multiaddr.Multiaddr) netip.Addr {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}
	}

	return netgroup.FromIP(ip)
}

// hostOf returns the host by which a remote is counted: the zero Prefix if the connection
// has no IP.
func hostOf(c network.Conn) netip.Prefix { return netgroup.Host(ipOf(c.RemoteMultiaddr())) }
