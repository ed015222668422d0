package discovery

import (
	"net"
	"testing"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// listening returns a transport on loopback.
func listening(t *testing.T) *lp2p.Transport {
	t.Helper()
	lt := newTransport(t)
	require.NoError(t, lt.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))

	return lt
}

// newUnstarted returns a Discovery of which nothing runs.
func newUnstarted(t *testing.T) *Discovery {
	t.Helper()
	d, err := New(listening(t), WithClient(&eager{}), WithMode(ModeClient))
	require.NoError(t, err)
	d.filter.private.Store(true)

	return d
}

// newEntering returns a Discovery with a DHT that nobody has entered and no loop enters.
func newEntering(t *testing.T) *Discovery {
	t.Helper()
	d := newUnstarted(t)
	var err error
	d.sender, d.pool, d.server = &sender{d}, newPool(d), newServer(d)
	d.dht, err = dht.New(newDHTHost(d), d.dhtOptions()...)
	require.NoError(t, err)
	d.table.Store(d.dht.RoutingTable())
	t.Cleanup(func() {
		d.tasks.Close()
		d.cancel()
		require.NoError(t, d.dht.Close())
		d.tasks.Wait()
		d.pool.close()
	})

	return d
}

// Only a former peer that is not there has its address blamed. One that is there and does
// not serve the DHT is asked again later, and one of another network is not asked.
func TestFormerPeersAreBlamedForDialsOnly(t *testing.T) {
	d := newEntering(t)
	book := d.t.AddrBook()
	former := func() (*lp2p.Transport, types.NetAddress) {
		lt := listening(t)
		addr := lt.NetAddress()
		_, err := p2paddr.Learn(book, lt.Host().ID())
		require.NoError(t, err)
		book.MarkAnswered(&addr, types.StackLibp2p)
		d.records.noteAnswer(lt.Host().ID(), time.Now()) // or its dials have to be quick

		return lt, addr
	}
	failures := func(addr types.NetAddress) int { return book.Of(addr.ID)[0].Failures }

	_, first := former()
	_, second := former()
	require.ElementsMatch(t, []types.NetAddress{first, second}, d.remembered())
	d.enterAt(first)
	require.False(t, d.entered())
	d.enterAt(second)
	require.Zero(t, failures(first))
	require.Zero(t, failures(second))
	require.Len(t, d.remembered(), 1, "none is due")

	foreign, third := former()
	require.Contains(t, d.remembered(), third)
	d.records.refuse(foreign.Host().ID(), refusedTTL, time.Now())
	require.NotContains(t, d.remembered(), third)
	d.enterAt(third)
	require.Zero(t, failures(third), "it was not dialed")

	gone, fourth := former()
	require.NoError(t, gone.Close())
	d.enterAt(fourth)
	require.Equal(t, 1, failures(fourth))
	require.Len(t, d.remembered(), 1, "nor is this one due")
}

// Keys cost nothing. However many strangers announce that they are at an endpoint, and
// come with new keys, few dials lead there. What is known of peers of this network is tried
// for ever.
func TestStrangersDoNotSteerDials(t *testing.T) {
	d := newEntering(t)
	book := d.t.AddrBook()
	silent := listening(t)
	at := silent.NetAddress()
	require.NoError(t, silent.Close())
	announce := func() types.NetAddress {
		addr := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: at.IP, Port: at.Port}
		require.Equal(t, 1, book.Add(addrbook.Source{ID: addr.ID, IP: at.IP}, &addr))

		return addr
	}
	dials := 0
	for range 10 {
		announce()
		for _, addr := range d.remembered() {
			d.enterAt(addr)
			dials++
		}
	}
	require.Equal(t, 3, dials)
	require.Empty(t, d.remembered())

	confirmed := somePeer(t, 1)
	id, err := p2paddr.Learn(book, confirmed)
	require.NoError(t, err)
	addr := types.NetAddress{ID: id, IP: at.IP, Port: at.Port}
	require.Equal(t, 1, book.Add(addrbook.Source{ID: id, IP: at.IP}, &addr))
	require.Empty(t, d.remembered())
	d.records.confirm(confirmed, time.Now())
	for range 5 {
		require.Equal(t, []types.NetAddress{addr}, d.remembered())
		book.MarkFailed(&addr)
	}
}

// What a stranger announces of a network that this node does not believe in is not dialed.
func TestStrangersDoNotSteerDialsInside(t *testing.T) {
	d := newEntering(t)
	d.filter.private.Store(false)
	for _, ip := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "fd00::1", "64:ff9b::a00:1"} {
		addr := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.ParseIP(ip), Port: 1}
		d.t.AddrBook().Add(addrbook.Source{ID: addr.ID}, &addr)
	}
	require.NotZero(t, d.t.AddrBook().Size())
	require.Empty(t, d.remembered())
}
