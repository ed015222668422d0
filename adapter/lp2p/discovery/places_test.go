package discovery

import (
	"net/netip"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// At one address so many peers are looked for and no more, as long as none of them
// is found there.
func TestOneAddressIsTriedForFewPeers(t *testing.T) {
	b := newBook(addrFilter{})
	now := time.Now()
	shared := []multiaddr.Multiaddr{addrAt(t, 1)}
	for i := range 10 {
		p := somePeer(t, i)
		b.hint(p, shared, now)
		require.Equal(t, i < maxTries, len(b.try(p, now)) == 1, i)
		b.absent(p, shared, now)
		require.Empty(t, b.try(p, now))
	}
	at, ok := b.filter.parse(shared[0])
	require.True(t, ok)
	require.False(t, b.mayTry(somePeer(t, 60), at, now), "nor is the switch told that another is there")
	require.Len(t, b.hints(somePeer(t, 0), now.Add(deadTTL)), 1, "it may have come back")
	later := now.Add(placeTTL)
	b.hint(somePeer(t, 50), shared, later)
	require.Len(t, b.try(somePeer(t, 50), later), 1)
}

// However many made-up peers are said to be at the address of an honest one, and how
// often, it is found there: the first attempt shows who is.
func TestMadeUpPeersKeepNobodyOut(t *testing.T) {
	b := newBook(addrFilter{})
	now := time.Now()
	a := addrAt(t, 1)
	at, ok := b.filter.parse(a)
	require.True(t, ok)
	honest := somePeer(t, 99)
	for round := range 12 {
		for i := range 5 {
			fake := somePeer(t, 10*round+i)
			b.hint(fake, []multiaddr.Multiaddr{a, a, a}, now)
			if len(b.try(fake, now)) > 0 { // somebody else answers
				b.found(at, honest, now)
				b.absent(fake, []multiaddr.Multiaddr{a}, now)
			}
		}
		b.hint(honest, []multiaddr.Multiaddr{a}, now)
		require.NotEmpty(t, b.try(honest, now), round)
		require.Empty(t, b.try(somePeer(t, 10*round+1), now), "it is known who is there")
		now = now.Add(4 * time.Minute)
	}

	// When the owner leaves, others may come there.
	b.hint(honest, []multiaddr.Multiaddr{a}, now)
	b.found(at, honest, now)
	b.absent(honest, []multiaddr.Multiaddr{a}, now)
	heir := somePeer(t, 200)
	b.hint(heir, []multiaddr.Multiaddr{a}, now)
	require.NotEmpty(t, b.try(heir, now))
}

// TCP and QUIC at one port are one place, and repeating one adds nothing.
func TestPlacesAreHintedOnce(t *testing.T) {
	b := newBook(addrFilter{})
	now := time.Now()
	p, tcp := somePeer(t, 1), addrAt(t, 1)
	quic, err := multiaddr.NewMultiaddr("/ip4/1.2.0.1/udp/26656/quic-v1")
	require.NoError(t, err)
	b.hint(p, []multiaddr.Multiaddr{tcp, quic, tcp}, now)
	b.hint(p, []multiaddr.Multiaddr{quic}, now)
	require.ElementsMatch(t, []multiaddr.Multiaddr{tcp, quic}, b.hints(p, now))
	for range maxTries {
		require.Len(t, b.try(p, now), 2)
	}
	require.Empty(t, b.try(p, now))
}

// What others have told of a peer is not displaced by one who tells many addresses,
// even less by those where the peer was not found.
func TestLiesDoNotDisplaceTheTruth(t *testing.T) {
	b := newBook(addrFilter{})
	now := time.Now()
	p, truth := somePeer(t, 1), addrAt(t, 1)
	var lies []multiaddr.Multiaddr
	for i := range 2 * maxAddrs {
		lies = append(lies, addrAt(t, 100+i))
	}
	b.hint(p, []multiaddr.Multiaddr{truth}, now)
	b.hint(p, lies, now)
	require.Contains(t, b.hints(p, now), truth)
	b.absent(p, lies, now)
	require.Equal(t, []multiaddr.Multiaddr{truth}, b.hints(p, now))
	for range 3 {
		b.hint(p, lies, now)
		require.Equal(t, []multiaddr.Multiaddr{truth}, b.hints(p, now), "they are known to be lies")
	}

	// Also when the lies came first.
	q := somePeer(t, 2)
	b.hint(q, lies, now)
	b.hint(q, lies[maxTold:], now)
	b.absent(q, lies, now)
	b.hint(q, []multiaddr.Multiaddr{truth}, now)
	b.hint(q, lies, now)
	require.Contains(t, b.hints(q, now), truth)
	require.Len(t, b.peers[q].hints, maxAddrs)
}

func TestPlacesAreBounded(t *testing.T) {
	b := newBook(addrFilter{})
	now := time.Now()
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{5, 6, byte(i >> 8), byte(i)}), 1)
	}
	for i := range maxPlaces + 100 {
		require.True(t, b.places.try(at(i), somePeer(t, i), now))
	}
	require.Len(t, b.places, maxPlaces)
	b.hint(somePeer(t, 1), nil, now.Add(placeTTL))
	require.Empty(t, b.places)
}
