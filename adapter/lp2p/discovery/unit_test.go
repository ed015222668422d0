package discovery

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/access"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/ownaddr"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// No two networks share a prefix, and none can pass for another protocol.
func TestPrefixes(t *testing.T) {
	for network, want := range map[string]string{
		"gnoland1": "/tm2/gnoland1",
		"test.5":   "/tm2/test.5",
		"a/b":      "/tm2/a%2Fb",
		"a%2Fb":    "/tm2/a%252Fb",
		"session":  "/tm2/session",
		"x\n y":    "/tm2/x%0A%20y",
		"ä":        "/tm2/%C3%A4",
		"\xff":     "/tm2/%FF",
		"A":        "/tm2/A",
		"a":        "/tm2/a",
	} {
		prefix, err := protocolPrefix(network)
		require.NoError(t, err)
		require.Equal(t, want, string(prefix))
	}
	_, err := protocolPrefix("")
	require.ErrorIs(t, err, errNoNetwork)
}

func TestAddresses(t *testing.T) {
	var public, all addrFilter
	all.private.Store(true)
	for text, want := range map[string]struct {
		at             string
		public, nearby bool
	}{
		"/ip4/1.2.3.4/tcp/26656":         {"1.2.3.4:26656", true, true},
		"/ip4/1.2.3.4/udp/26656/quic-v1": {"1.2.3.4:26656", true, true},
		"/ip6/2a00::1/tcp/1":             {"[2a00::1]:1", true, true},
		"/ip6/::ffff:1.2.3.4/tcp/1":      {"1.2.3.4:1", true, true},
		"/ip4/10.0.0.1/tcp/1":            {"10.0.0.1:1", false, true},
		"/ip4/127.0.0.1/tcp/1":           {"127.0.0.1:1", false, true},
		"/ip6/::ffff:127.0.0.1/tcp/1":    {"127.0.0.1:1", false, true},
		"/ip4/169.254.1.1/tcp/1":         {"169.254.1.1:1", false, false},
		"/ip4/198.18.0.1/tcp/1":          {"198.18.0.1:1", false, false},
		"/ip4/240.0.0.1/tcp/1":           {"240.0.0.1:1", false, false},
		"/ip6/64:ff9b::a00:1/tcp/1":      {"[64:ff9b::a00:1]:1", false, false},
		"/ip6/2002:a00:1::/tcp/1":        {"[2002:a00:1::]:1", false, false},
		"/ip6/2002:808:808::/tcp/1":      {"[2002:808:808::]:1", true, true},
		"/ip6/fec0::1/tcp/1":             {"[fec0::1]:1", false, false},
		"/ip4/100.64.0.1/tcp/1":          {"100.64.0.1:1", false, true},
		"/ip6/fd00::1/tcp/1":             {"[fd00::1]:1", false, true},
		"/ip6/::1/tcp/1":                 {"[::1]:1", false, true},
		"/ip4/0.0.0.0/tcp/1":             {"0.0.0.0:1", false, false},
		"/ip4/0.1.2.3/tcp/1":             {"0.1.2.3:1", false, false},
		"/ip6/::/tcp/1":                  {"[::]:1", false, false},
		"/ip4/1.2.3.4/tcp/0":             {"1.2.3.4:0", false, false},
		"/ip4/224.0.0.1/tcp/1":           {"224.0.0.1:1", false, false},
		"/ip4/255.255.255.255/tcp/1":     {"255.255.255.255:1", false, false},
		"/ip6/2001:db8::1/tcp/1":         {"[2001:db8::1]:1", false, false},
		"/ip4/1.2.3.4/udp/1":             {},
		"/ip4/1.2.3.4/tcp/1/ws":          {},
		"/ip4/1.2.3.4/tcp/1/p2p/" + somePeer(t, 1).String() + "/p2p-circuit": {},
		"/dns4/example.org/tcp/1":         {},
		"/ip6zone/eth0/ip6/fe80::1/tcp/1": {},
		"/p2p-circuit":                    {},
	} {
		a, err := multiaddr.NewMultiaddr(text)
		require.NoError(t, err, text)
		at, ok := public.parse(a)
		require.Equal(t, want.public, ok, text)
		if want.at != "" {
			require.Equal(t, want.at, at.String())
		}
		_, ok = all.parse(a)
		require.Equal(t, want.nearby, ok, text)
	}
	var many []multiaddr.Multiaddr
	for i := range 20 {
		many = append(many, addrAt(t, i))
	}
	require.Equal(t, many[:maxAddrs], public.filter(many))
}

// A node that announces no address believes private ones if it listens at no other, which
// the network interfaces show for 0.0.0.0.
func TestWildcardIsNoPublicAddress(t *testing.T) {
	interfaces, err := net.InterfaceAddrs()
	require.NoError(t, err)
	wildcard := len(ownaddr.Public(interfaces)) == 0
	for _, c := range []struct {
		told, listen net.IP
		want         bool
	}{
		{net.IPv4zero, net.IPv4zero, wildcard},
		{net.IPv4zero, net.IPv4(127, 0, 0, 1), true},
		{net.IPv4(5, 6, 7, 8), net.IPv4(127, 0, 0, 1), false},
		{net.IPv4(10, 0, 0, 1), net.IPv4(127, 0, 0, 1), true},
	} {
		key := types.GenerateNodeKey()
		tr, err := lp2p.NewTransport(types.NodeInfo{
			NetAddress: &types.NetAddress{ID: key.ID(), IP: c.told}, Network: "test", Moniker: "node",
		}, *key, nil)
		require.NoError(t, err)
		require.NoError(t, tr.Listen(types.NetAddress{IP: c.listen}))
		d, err := New(tr)
		require.NoError(t, err)
		require.Equal(t, c.want, d.privateAddresses(), "%+v", c)
		require.NoError(t, tr.Close())
	}
}

// What a remote tells is believed where it means the same there, even by a node that
// believes private addresses.
func TestTellerDecidesWhatIsBelieved(t *testing.T) {
	bad := []string{
		"/ip4/127.0.0.1", "/ip4/10.0.0.1", "/ip4/169.254.169.254", "/ip4/100.100.100.200", "/ip4/198.18.0.1", "/ip4/240.0.0.1",
		"/ip6/64:ff9b::a00:1", "/ip6/2002:a00:1::", "/ip6/fec0::1", "/ip6/::1", "/ip6/fd00::1",
	}
	told := func(private bool, from string) (kept int) {
		d := newRemembering(t)
		d.t = access.Of(new(lp2p.Transport))
		d.filter.private.Store(private)
		teller, at := somePeer(t, 100), netip.MustParseAddr(from)
		for i, host := range bad {
			a, err := multiaddr.NewMultiaddr(host + "/tcp/26656")
			require.NoError(t, err)
			resp := &dhtpb.Message{CloserPeers: []*dhtpb.Message_Peer{{Id: []byte(somePeer(t, i)), Addrs: [][]byte{a.Bytes()}}}}
			d.believe(teller, at, resp)
			kept += len(resp.CloserPeers)
		}
		require.Equal(t, kept, d.book.Size(), "nothing else is in the book")
		source, err := d.ids.Of(teller)
		require.NoError(t, err)
		for _, addr := range d.book.Addresses() {
			require.Equal(t, source, d.book.Of(addr.ID)[0].Source)
		}

		return kept
	}
	require.Zero(t, told(true, "9.9.9.9"), "a public remote")
	require.Zero(t, told(false, "127.0.0.1"), "a node that believes no private addresses")
	require.Equal(t, 2, told(true, "127.0.0.1"), "loopback means the same machine")
	require.Equal(t, 2, told(true, "10.0.0.2"), "private networks are one's own")
	require.Equal(t, 1, told(true, "100.64.0.1"), "one carrier")
	require.Zero(t, told(true, "169.254.1.1"), "link-local addresses never")
}

func addrAt(t *testing.T, i int) multiaddr.Multiaddr {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/1.2.%d.%d/tcp/26656", i/256, i%256))
	require.NoError(t, err)

	return a
}

// somePeer is a peer ID of the right kind: the identity multihash of a key.
func somePeer(t *testing.T, i int) peer.ID {
	t.Helper()
	key := make([]byte, 38)
	copy(key, []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20})
	key[6], key[7], key[8] = byte(i), byte(i>>8), byte(i>>16)
	id, err := peer.IDFromBytes(key)
	require.NoError(t, err)

	return id
}

func TestRecordsAreBounded(t *testing.T) {
	r := newRecords()
	now := time.Now()
	r.refuse(somePeer(t, 1), refusedTTL, now)
	r.noteAnswer(somePeer(t, 2), now)
	for i := 10; i < 3*maxKnown; i++ {
		r.beginCheck(somePeer(t, i), now.Add(time.Duration(i)))
	}
	all, refused := r.size(now)
	require.LessOrEqual(t, all, maxKnown)
	require.Greater(t, all, maxKnown/2)
	require.Equal(t, 1, refused)
	require.True(t, r.isRefused(somePeer(t, 1), now), "others displace neither who is refused")
	require.True(t, r.isAlive(somePeer(t, 2), now), "nor who has answered")
	require.NotContains(t, r.peers, somePeer(t, 10), "the oldest are gone")
	require.False(t, r.isRefused(somePeer(t, 1), now.Add(refusedTTL)))
}

// A peer is hinted at growing distances while nothing comes of it.
func TestHintsAreSpaced(t *testing.T) {
	r := newRecords()
	now := time.Now()
	p, at := somePeer(t, 1), netip.MustParseAddrPort("1.2.3.4:5")
	next := func() time.Duration { // until p is hinted
		for _, wait := range []time.Duration{0, hintWait, failWait, 2 * failWait, 4 * failWait, maxFailWait} {
			if len(r.alive(now.Add(wait))) > 0 {
				require.Equal(t, []peer.ID{p}, r.alive(now.Add(wait)))

				return wait
			}
			require.Empty(t, r.alive(now.Add(wait)))
		}

		return -1
	}
	r.noteAnswer(p, now)
	require.Zero(t, next())
	r.hinted(p, at, now)
	require.Equal(t, hintWait, next())
	for _, wait := range []time.Duration{failWait, 2 * failWait, 4 * failWait} {
		r.failed(p, at, at, false, now)
		require.Equal(t, wait, next())
	}
	for range 20 {
		r.failed(p, at, at, false, now)
	}
	r.noteAnswer(p, now.Add(maxFailWait))
	require.Equal(t, maxFailWait, next())

	r.failed(p, netip.MustParseAddrPort("1.2.3.4:6"), at, true, now)
	require.True(t, r.isAlive(p, now), "it was dialed where others say")
	r.failed(p, at, netip.AddrPort{}, true, now)
	require.False(t, r.isAlive(p, now), "it has to answer again")
	r.connected(p, now)
	r.noteAnswer(p, now)
	require.Zero(t, next())
	r.refuse(p, refusedTTL, now)
	require.EqualValues(t, -1, next())
}

// newTransport returns a transport on loopback that does not listen.
func newTransport(t *testing.T, opts ...lp2p.Option) *lp2p.Transport {
	t.Helper()
	key := types.GenerateNodeKey()
	lt, err := lp2p.NewTransport(types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}, Network: "test",
		Channels: []byte{1}, Moniker: "node",
	}, *key, nil, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lt.Close()) })

	return lt
}

// What a failed dial shows decides whether a peer has to answer again before it is
// hinted, and whether it is looked for elsewhere.
func TestFailedDialsOfKnownPeers(t *testing.T) {
	p, inner := somePeer(t, 1), access.Of(newTransport(t))
	id, err := p2paddr.Learn(inner.AddrBook(), p)
	require.NoError(t, err)
	addr := types.NetAddress{ID: id, IP: net.IPv4(1, 2, 3, 4), Port: 5}
	at := netip.MustParseAddrPort("1.2.3.4:5")

	for _, c := range []struct {
		reason            error
		hintedLater, lost bool
	}{
		{&compat.WrongIDError{}, false, true},
		{syscall.ECONNREFUSED, false, true},
		{&compat.ForeignError{Err: io.EOF}, false, true},
		{context.DeadlineExceeded, true, true},
		{io.EOF, true, true},
		{compat.ErrBusy, true, false},
		{compat.Reject(compat.RejectFull, ""), true, false},
		{compat.Reject(compat.RejectClosing, ""), true, false},
		{compat.Reject(compat.RejectDuplicate, ""), true, false},
		{context.Canceled, true, false},
		{syscall.EMFILE, true, false},
		{syscall.ENETUNREACH, true, false},
		{noNetworkAt(net.IPv4(127, 0, 0, 1)), false, true}, // this machine has a route there
		{compat.ErrTransportClosed, true, false},
	} {
		d := newRemembering(t)
		d.t = inner
		d.records.want(p, false, time.Now())
		d.book.MarkAnswered(&addr, types.StackLibp2p)
		d.records.noteAnswer(p, time.Now())
		d.records.hinted(p, at, time.Now())
		d.dialFailed(addr, fmt.Errorf("unable to dial: %w", c.reason))
		require.Equal(t, c.hintedLater, d.records.isAlive(p, time.Now()), "%v", c.reason)
		require.Equal(t, c.hintedLater, d.answeredAt(p) == at, "%v", c.reason)
		require.Equal(t, c.lost, d.records.of(p).search.missed, "%v", c.reason)
		next, _ := d.records.next(time.Now().Add(firstFindWait))
		require.Equal(t, c.lost, next == p, "%v", c.reason)
	}
}

// noNetworkAt is what a dial returns after a router has said that the network is unreachable.
func noNetworkAt(ip net.IP) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: ip, Port: 5}, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
}

func TestWantedPeersAreLookedForAtGrowingDistances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stranger, friend := newRecords(), somePeer(t, 1), somePeer(t, 2)
		r.lost(stranger, false, time.Now())
		p, due := r.next(time.Now())
		require.Zero(t, due, "nobody knows it")
		require.Empty(t, p)

		r.want(friend, false, time.Now())
		r.lost(friend, false, time.Now())
		<-r.queued.C()
		begun, tries := time.Now(), 0
		for {
			p, due := r.next(time.Now())
			if p != "" {
				tries++

				continue
			}
			if due.IsZero() {
				break
			}
			<-time.After(time.Until(due)) // in a bubble
		}
		require.Equal(t, maxFindTries, tries)
		require.Equal(t, firstFindWait*(1+2+4+8+16), time.Since(begun))

		r.lost(friend, false, time.Now()) // another dial has failed
		<-r.queued.C()
		p, due = r.next(time.Now())
		require.Empty(t, p)
		require.Equal(t, 32*firstFindWait, time.Until(due))
		r.want(friend, false, time.Now()) // it has come by itself
		_, due = r.next(time.Now())
		require.Zero(t, due)
		r.lost(friend, false, time.Now())
		p, _ = r.next(time.Now())
		require.Equal(t, friend, p)
		r.found(friend)
		_, due = r.next(time.Now())
		require.Zero(t, due)
	})
}

func TestWantedPeersAreBounded(t *testing.T) {
	r, seed, now := newRecords(), somePeer(t, 1), time.Now()
	wanted := func() (n int) {
		for _, k := range r.peers {
			if k.search.wanted() {
				n++
			}
		}

		return n
	}
	r.want(seed, true, now)
	for i := range 2 * maxWanted {
		r.want(somePeer(t, 10+i), false, now.Add(time.Duration(i)))
	}
	require.Equal(t, maxWanted+1, wanted())
	require.True(t, r.of(seed).search.wanted())

	// Those that are looked for are bounded, too.
	for i := range 2 * maxWanted {
		p := somePeer(t, 10000+i)
		r.want(p, false, now.Add(time.Hour+time.Duration(i)))
		r.lost(p, false, now)
	}
	require.Equal(t, maxWanted+1, wanted())
	// Strangers displace none of them.
	for i := range 2 * maxKnown {
		r.noteAnswer(somePeer(t, 20000+i), now)
	}
	require.Equal(t, maxWanted+1, wanted())
	r.lost(seed, true, now)
	p, _ := r.next(time.Now())
	require.Equal(t, seed, p, "those that are configured come first")
}

// Of others who waits longest comes first.
func TestWantedPeersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecords()
		want := make(map[peer.ID]int)
		for i := range 3 {
			p := somePeer(t, i)
			r.want(p, false, time.Now())
			r.lost(p, false, time.Now())
			want[p] = 3
		}
		turns := make(map[peer.ID]int)
		for range 9 {
			p, due := r.next(time.Now())
			for p == "" {
				<-time.After(time.Until(due)) // in a bubble
				p, due = r.next(time.Now())
			}
			turns[p]++
			<-time.After(time.Minute)
		}
		require.Equal(t, want, turns)
	})
}

// Refusals, which cost a stranger a handshake, displace nobody who has answered.
func TestRefusalsDisplaceNobodyAlive(t *testing.T) {
	r := newRecords()
	now := time.Now()
	for i := range 100 {
		r.noteAnswer(somePeer(t, i), now)
	}
	for i := 1000; i < 1000+2*maxKnown; i++ {
		r.refuse(somePeer(t, i), refusedTTL, now.Add(time.Duration(i)))
	}
	require.Len(t, r.alive(now), 100)
	_, refused := r.size(now)
	require.Equal(t, maxRefused, refused)
	require.True(t, r.isRefused(somePeer(t, 999+2*maxKnown), now), "the newest are kept")
}

// Peers of other networks, which anybody can invent, write a few lines in all, from wherever
// they are.
func TestForeignPeersAreSummedUp(t *testing.T) {
	const foreign = 600 // more than are remembered as refused
	var log stacktest.Log
	d := newRemembering(t)
	d.t, d.pool = access.Of(newTransport(t)), newPool(d)
	d.BaseReactor = compat.NewBaseReactor("dht", d)
	d.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	for i := range foreign {
		p, at := somePeer(t, i), endpoint(i)
		_, err := p2paddr.Learn(d.t.AddrBook(), p)
		require.NoError(t, err)
		addr := d.addrOf(t, p, at)
		d.book.MarkAnswered(&addr, types.StackLibp2p)
		d.dialFailed(addr, types.ErrIncompatibleNetworks)
	}
	require.EqualValues(t, foreign, d.counters.snapshot().PeersRefused)
	d.refused.Close()
	lines := strings.Count(log.String(), "left out of the DHT")
	require.Positive(t, lines)
	require.LessOrEqual(t, lines, 20, log.String())
}

// A node without the protocols of TM2 is of no TM2 network, unless it is known as a node
// of this one: then it shuts down, and is looked for where it may be next.
func TestKnownNodeThatClosesIsNotRefused(t *testing.T) {
	p, inner := somePeer(t, 1), access.Of(newTransport(t))
	id, err := p2paddr.Learn(inner.AddrBook(), p)
	require.NoError(t, err)
	addr := types.NetAddress{ID: id, IP: net.IPv4(1, 2, 3, 4), Port: 5}
	now := time.Now()

	for name, known := range map[string]func(d *Discovery){
		"confirmed":  func(d *Discovery) { d.records.confirm(p, now.Add(-2*confirmedTTL)) },
		"configured": func(d *Discovery) { d.configured = map[types.ID]bool{id: true} },
		"connected":  func(d *Discovery) { d.records.want(p, false, now) },
		"unknown":    func(*Discovery) {},
	} {
		d := newRemembering(t)
		d.BaseReactor = compat.NewBaseReactor("dht", d)
		d.t, d.pool = inner, newPool(d)
		known(d)
		d.records.noteAnswer(p, now)
		for range 3 {
			d.dialFailed(addr, fmt.Errorf("unable to dial: %w", &compat.ForeignError{Proved: true, Err: stream.ErrUnsupported}))
		}
		require.Equal(t, name == "unknown", d.unwanted(p), name)
		require.Equal(t, name != "unknown", d.records.isAlive(p, now), name)
		search := d.records.of(p).search
		require.Equal(t, name == "configured" || name == "connected", search.wanted() && search.missed, name)
		d.dialFailed(addr, types.ErrIncompatibleNetworks)
		require.True(t, d.unwanted(p), "it says so itself")
		require.Equal(t, name == "unknown", d.records.isRefused(p, now.Add(2*shortRefusedTTL)), name)
	}
}
