package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/access"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

// endpointMemory is how long the book remembers what came of dials at an IP and port.
const endpointMemory = 10 * time.Minute

var errSilent = errors.New("nobody answers")

// newRemembering returns the part of a Discovery that remembers peers and their addresses.
func newRemembering(t *testing.T) *Discovery {
	t.Helper()
	book, err := newBook(types.GenerateNodeKey().ID(), false)
	require.NoError(t, err)

	refused := summary.New(slog.New(slog.DiscardHandler))
	t.Cleanup(refused.Close)

	return &Discovery{book: book, records: newRecords(), ids: p2paddr.NewIDs(maxIDs), opts: &options{}, refused: refused}
}

// endpoint is the i-th of many addresses.
func endpoint(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{5, byte(i >> 8), byte(i), 1}), 26656)
}

func (d *Discovery) addrOf(t *testing.T, p peer.ID, at netip.AddrPort) types.NetAddress {
	t.Helper()
	id, err := d.ids.Of(p)
	require.NoError(t, err)

	return netAddress(id, at)
}

// tell has the source with the number tell that the peer is at the places.
func (d *Discovery) tell(t *testing.T, source int, p peer.ID, at ...netip.AddrPort) {
	t.Helper()
	var addrs []*types.NetAddress
	for _, a := range at {
		addr := d.addrOf(t, p, a)
		addrs = append(addrs, &addr)
	}
	id, err := d.ids.Of(somePeer(t, 1<<20+source))
	require.NoError(t, err)
	d.book.Add(addrbook.Source{ID: id, IP: netip.AddrFrom4([4]byte{9, byte(source), 0, 1}).AsSlice()}, addrs...)
}

func endpointsAt(addrs []types.NetAddress) (at []netip.AddrPort) {
	for _, addr := range addrs {
		at = append(at, addrPort(&addr))
	}

	return at
}

// pass lets time go by in a synctest bubble.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// At one address so many peers are looked for and no more, as long as none of them
// is found there.
func TestOneAddressIsTriedForFewPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxTries = 3
		d, shared := newRemembering(t), endpoint(1)
		for i := range 10 {
			p := somePeer(t, i)
			d.tell(t, i, p, shared)
			tried := d.tryHints(p)
			require.Equal(t, i < maxTries, len(tried) == 1, i)
			d.noteAbsent(p, tried, errSilent)
			require.Empty(t, d.tryHints(p))
		}
		addr := d.addrOf(t, somePeer(t, 60), shared)
		require.False(t, d.book.Try(&addr), "nor is the switch told that another is there")
		pass(10 * time.Second)
		d.tell(t, 0, somePeer(t, 0), shared)
		require.Len(t, d.hints(somePeer(t, 0)), 1, "it may have come back")
		require.Empty(t, d.tryHints(somePeer(t, 0)), "and others may be there")
		pass(endpointMemory - 10*time.Second)
		for _, i := range []int{0, 50} {
			d.tell(t, i, somePeer(t, i), shared)
			require.Len(t, d.tryHints(somePeer(t, i)), 1, i)
		}
	})
}

// TCP and QUIC at one port are one address, which is dialed both ways, and repeating one
// adds nothing.
func TestTCPAndQUICCountOnce(t *testing.T) {
	d, p, teller, from := newRemembering(t), somePeer(t, 1), somePeer(t, 2), netip.MustParseAddr("9.9.9.9")
	d.t = access.Of(newTransport(t, lp2p.WithQUIC()))
	tcp := multiaddr.StringCast("/ip4/5.0.1.1/tcp/26656")
	quic := multiaddr.StringCast("/ip4/5.0.1.1/udp/26656/quic-v1")
	for _, told := range [][]multiaddr.Multiaddr{{tcp, quic, tcp}, {quic}} {
		entry := &dhtpb.Message_Peer{Id: []byte(p)}
		for _, a := range told {
			entry.Addrs = append(entry.Addrs, a.Bytes())
		}
		d.believe(teller, from, &dhtpb.Message{CloserPeers: []*dhtpb.Message_Peer{entry}})
	}
	require.Equal(t, 1, d.book.Size())
	var dialed []string
	for _, addr := range d.hints(p) {
		for _, a := range d.t.DialAddrs(addr) {
			dialed = append(dialed, a.String())
		}
	}
	require.ElementsMatch(t, []string{tcp.String(), quic.String()}, dialed)
	for range 3 {
		require.Len(t, d.tryHints(p), 1)
	}
	require.Empty(t, d.tryHints(p))
}

// A dial without a route is no failed dial of a hint. It says nothing of the other hints of the same
// peer, which may be anybody's.
func TestHintWithoutARouteIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, victim, gone := newRemembering(t), somePeer(t, 1), endpoint(1), endpoint(2)
		d.tell(t, 2, p, victim, gone)
		err := &swarm.DialError{DialErrors: []swarm.TransportError{
			{Address: multiaddrOf(t, victim), Cause: errSilent}, {Address: multiaddrOf(t, gone), Cause: syscall.ENETUNREACH},
		}}
		for range 10 {
			d.noteNoRoute(d.tryHints(p), err)
			pass(10 * time.Second)
		}
		left, free := d.addrOf(t, p, victim), d.addrOf(t, p, gone)
		require.False(t, d.book.Try(&left))
		require.True(t, d.book.Try(&free))
	})
}

func multiaddrOf(t *testing.T, at netip.AddrPort) multiaddr.Multiaddr {
	t.Helper()
	addr, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/%s/tcp/%d", at.Addr(), at.Port()))
	require.NoError(t, err)

	return addr
}

// However many made-up peers are said to be at the address of an honest one, and how
// often, it is found there: the first attempt shows who is.
func TestMadeUpPeersKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, at, honest := newRemembering(t), endpoint(1), somePeer(t, 99)
		tcp, err := multiaddr.NewMultiaddr("/ip4/5.0.1.1/tcp/26656")
		require.NoError(t, err)
		other := &swarm.DialError{DialErrors: []swarm.TransportError{{Address: tcp, Cause: sec.ErrPeerIDMismatch{Actual: honest}}}}
		for round := range 12 {
			for i := range 5 {
				pass(time.Second)
				fake := somePeer(t, 10*round+i)
				d.tell(t, i, fake, at, at, at)
				if tried := d.tryHints(fake); len(tried) > 0 { // somebody else answers
					d.noteAbsent(fake, tried, other)
				}
			}
			if round == 0 {
				pass(time.Second)
			}
			d.tell(t, 9, honest, at)
			require.NotEmpty(t, d.tryHints(honest), round)
			addr := d.addrOf(t, somePeer(t, 10*round+1), at)
			require.False(t, d.book.Try(&addr), "it is known who is there")
			pass(4 * time.Minute)
		}

		// When the owner leaves, others may come there.
		addr := d.addrOf(t, honest, at)
		d.book.MarkAnswered(&addr, types.StackLibp2p)
		d.noteAbsent(honest, []types.NetAddress{addr}, errSilent)
		heir := somePeer(t, 200)
		d.tell(t, 1, heir, at)
		require.NotEmpty(t, d.tryHints(heir))
	})
}

// A new address of a peer counts at once, whatever became of the old one.
func TestMovedPeerIsBelieved(t *testing.T) {
	d, p := newRemembering(t), somePeer(t, 1)
	old, moved := endpoint(1), endpoint(2)
	d.tell(t, 1, p, old)
	d.noteAbsent(p, d.hints(p), errSilent)
	require.Empty(t, d.hints(p))
	d.tell(t, 1, p, old, moved)
	require.Equal(t, []netip.AddrPort{moved}, endpointsAt(d.hints(p)))
}

// What others have told of a peer is not displaced by one who tells many addresses,
// even less by those where the peer was not found.
func TestLiesDoNotDisplaceTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, truth := newRemembering(t), somePeer(t, 1), endpoint(1)
		var lies []netip.AddrPort
		for i := range 2 * maxAddrs {
			lies = append(lies, endpoint(100+i))
		}
		d.tell(t, 1, p, truth)
		pass(time.Second)
		d.tell(t, 2, p, lies...)
		require.Contains(t, endpointsAt(d.hints(p)), truth)
		absent := func(p peer.ID) {
			for _, at := range lies {
				d.noteAbsent(p, []types.NetAddress{d.addrOf(t, p, at)}, errSilent)
			}
		}
		absent(p)
		require.Equal(t, []netip.AddrPort{truth}, endpointsAt(d.hints(p)))
		for range 3 {
			d.tell(t, 2, p, lies...)
			require.Contains(t, endpointsAt(d.hints(p)), truth)
			absent(p)
			require.Equal(t, []netip.AddrPort{truth}, endpointsAt(d.hints(p)))
		}

		// Also when the lies came first.
		q := somePeer(t, 2)
		d.tell(t, 2, q, lies...)
		pass(time.Second)
		d.tell(t, 2, q, lies[4:]...)
		absent(q)
		d.tell(t, 1, q, truth)
		pass(time.Second)
		d.tell(t, 2, q, lies...)
		require.Contains(t, endpointsAt(d.hints(q)), truth)
	})
}

// What is told is believed for 10 minutes, and answers for as long as the peer is found.
func TestHintsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, at := newRemembering(t), somePeer(t, 1), endpoint(1)
		d.tell(t, 1, p, at)
		pass(hintTTL - 1)
		require.Len(t, d.hints(p), 1)
		pass(1)
		require.Empty(t, d.hints(p))
		require.False(t, d.answeredAt(p).IsValid(), "nobody has found it there")

		addr := d.addrOf(t, p, at)
		d.book.MarkAnswered(&addr, types.StackLibp2p)
		pass(hintTTL)
		require.Equal(t, at, d.answeredAt(p))
		d.book.MarkFailed(&addr)
		require.False(t, d.answeredAt(p).IsValid())
	})
}

// However much lookups are told, where peers have answered is known.
func TestToldAddressesAreBounded(t *testing.T) {
	d, p := newRemembering(t), somePeer(t, 1)
	addr := d.addrOf(t, p, endpoint(1))
	d.book.MarkAnswered(&addr, types.StackLibp2p)
	for i := range 3 * maxKnown / 32 {
		var told []*types.NetAddress
		for j := range 32 {
			addr := d.addrOf(t, somePeer(t, 10+32*i+j), endpoint(10+32*i+j))
			told = append(told, &addr)
		}
		d.book.Add(addrbook.Source{ID: types.GenerateNodeKey().ID()}, told...)
	}
	require.LessOrEqual(t, d.book.Size(), maxKnown)
	require.Equal(t, endpoint(1), d.answeredAt(p))
}
