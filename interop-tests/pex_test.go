package interoptests

import (
	"crypto/ed25519"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// pexNode is a node on the native stack with the discovery reactor.
type pexNode struct {
	*node

	key  *types.NodeKey
	pex  *pex.Reactor
	book *addrbook.Book
}

// withoutDiscovery is a recorder without the discovery channel, which another reactor has.
type withoutDiscovery struct{ *recorder }

func (r withoutDiscovery) GetChannels() []*compat.ChannelDescriptor {
	return slices.DeleteFunc(r.recorder.GetChannels(), func(d *compat.ChannelDescriptor) bool {
		return d.ID == discoveryChannel
	})
}

// startPex starts a node with an address book in memory. Only the switch knows the private
// peers.
func startPex(t *testing.T, moniker string, private ...string) *pexNode {
	t.Helper()
	log := peerlog.New("native " + moniker)
	showOnFailure(t, log)
	key := types.GenerateNodeKey()
	info := newNodeInfo(key.ID(), nodeOptions{moniker: moniker})
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), newLogger(log))
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*info.NetAddress))
	addr := tr.NetAddress()
	info.NetAddress = &addr

	book, err := addrbook.Open("", addr, addrbook.WithLogger(newLogger(log)))
	require.NoError(t, err)
	r := pex.NewReactor(book)
	r.SetLogger(newLogger(log))
	ids, errs := types.NewIDFromStrings(private)
	require.Empty(t, errs)
	n := &pexNode{node: &node{Log: log, t: t, info: info, transport: tr}, key: key, pex: r, book: book}
	n.sw = adapter.NewMultiplexSwitch(tr,
		adapter.WithReactor("interop", withoutDiscovery{newRecorder(t, log, false)}),
		adapter.WithReactor("discovery", r),
		adapter.WithPrivatePeers(ids),
		adapter.WithAllowDuplicateIP(true),
	)
	n.stop = n.sw.Stop
	n.sw.SetLogger(newLogger(log))
	n.watch()
	t.Cleanup(n.Stop)
	require.NoError(t, n.sw.Start())

	return n
}

// startDiscovering starts a gno peer with gno's discovery reactor.
func startDiscovering(t *testing.T, version, moniker string) *legacy.Peer {
	t.Helper()

	return legacy.Start(t, legacy.Options{Version: version, Moniker: moniker, AllowDuplicateIP: true, Discovery: true})
}

// TestWeLearnFromGno checks that we ask the gno peer that we have dialed, and dial the peers
// that it names.
func TestWeLearnFromGno(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		// The third node does not ask, so the connection must come from us.
		hub, third := startDiscovering(t, version, "hub"), startVersion(t, version, "third")
		third.Dial(hub.Addr())
		awaitConnected(t, third, hub)

		ours := startPex(t, "ours")
		ours.Dial(hub.Addr())
		awaitConnected(t, ours, hub)
		require.True(t, ours.AwaitUp(t, hub.ID(), 1).Outbound)
		require.True(t, ours.AwaitUp(t, third.ID(), 1).Outbound)
		third.AwaitUp(t, ours.ID(), 1)
		hub.Await(t, "our request", 1, func(e protocol.Event) bool {
			return e.Event == protocol.EventDiscovery && e.Request && e.Peer == ours.ID()
		})
		require.NotZero(t, ours.pex.Stats().ResponsesReceived)
		require.ElementsMatch(t, []string{hub.Addr(), third.Addr()}, addresses(ours.book))
		requireNoOffence(t, ours)
	})
}

// TestGnoLearnsFromUs checks that gno asks us and dials the peer that we name, which only we
// know, and that we name no private peer.
func TestGnoLearnsFromUs(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		// These nodes do not ask, so the connection must come from gno.
		third, private := startVersion(t, version, "third"), startVersion(t, version, "private")
		ours := startPex(t, "ours", private.ID())
		for _, peer := range []*legacy.Peer{third, private} {
			ours.Dial(peer.Addr())
			requireConnected(t, ours, peer)
		}

		gno := startDiscovering(t, version, "gno")
		gno.Dial(ours.Addr())
		requireConnected(t, gno, ours)
		answer := awaitAnswer(t, gno, ours.ID())
		require.Equal(t, []string{third.Addr()}, answer.Addrs)
		require.True(t, gno.AwaitUp(t, third.ID(), 1).Outbound)
		third.AwaitUp(t, gno.ID(), 1)
		// Gno has learned of the third node, so it has received our answers.
		for _, e := range gno.Events(func(e protocol.Event) bool { return e.Event == protocol.EventDiscovery && !e.Request }) {
			require.Equal(t, []string{third.Addr()}, e.Addrs)
		}
		require.NotContains(t, addresses(ours.book), private.Addr())
		requireNoOffence(t, ours)
	})
}

// requireNoOffence fails if gno has sent anything that the reactor treats as misbehavior.
func requireNoOffence(t *testing.T, n *pexNode) {
	t.Helper()
	stats := n.pex.Stats()
	require.Zero(t, stats.Invalid)
	require.Zero(t, stats.ResponsesUnrequested)
	require.Zero(t, stats.ResponsesLate)
	require.Zero(t, stats.RequestsLimited)
}

func addresses(book *addrbook.Book) []string {
	list := make([]string, 0, book.Size())
	for _, addr := range book.Addresses() {
		list = append(list, addr.String())
	}

	return list
}

// TestBookAndGnoStoreReadEachOther checks that the newest gno reads our address book file, and
// that we read the file that gno writes.
func TestBookAndGnoStoreReadEachOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "addrbook.json")
	book, err := addrbook.Open(path, types.NetAddress{})
	require.NoError(t, err)
	connected, told, ofGno := freshAddr(t, "1.2.3.4:1"), freshAddr(t, "[2600::1]:2"), freshAddr(t, "5.6.7.8:3")
	book.MarkConnected(connected, true)
	require.Equal(t, 1, book.Add(addrbook.Source{ID: connected.ID, IP: connected.IP}, told))
	require.NoError(t, book.Save())

	store, err := discovery.NewStore(path, gnotypes.NetAddress{})
	require.NoError(t, err)
	var read []string
	for _, addr := range store.GetPeers() {
		read = append(read, addr.String())
	}
	require.ElementsMatch(t, []string{connected.String(), told.String()}, read)
	added, err := gnotypes.NewNetAddressFromString(ofGno.String())
	require.NoError(t, err)
	store.AddPeers(added)
	require.NoError(t, store.Save())

	book, err = addrbook.Open(path, types.NetAddress{})
	require.NoError(t, err)
	all := addresses(book)
	require.ElementsMatch(t, []string{connected.String(), told.String(), ofGno.String()}, all)
	require.Equal(t, connected.String(), all[0], "gno has kept the time of the connection")
}

// A stock node that takes over our file, as when an operator rolls back, dials the peers in
// it. Gno v1.1.0 keeps no address book.
func TestStockNodesStartFromOurBook(t *testing.T) {
	t.Parallel()
	for _, version := range []string{legacy.V1_7_1, legacy.V1_4_0} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ours := startPex(t, "ours")
			path := filepath.Join(t.TempDir(), "addrbook.json")
			book, err := addrbook.Open(path, types.NetAddress{})
			require.NoError(t, err)
			addr := ours.transport.NetAddress()
			book.Configure(addr.ID, addr)
			book.MarkAnswered(&addr, types.StackLibp2p)
			book.MarkConnected(&addr, true)
			told := freshAddr(t, "192.0.2.1:1")
			told.IP = addr.IP
			require.Equal(t, 1, book.Add(addrbook.Source{ID: addr.ID, IP: addr.IP}, told))
			book.MarkFailed(told)
			book.LearnKey(ours.key.PrivKey.Public().(ed25519.PublicKey))
			require.NoError(t, book.Flush())

			stock := legacy.Start(t, legacy.Options{
				Version: version, Moniker: "stock", AllowDuplicateIP: true, Discovery: true, AddressBook: path,
			})
			requireConnected(t, stock, ours)
		})
	}
}

func freshAddr(t *testing.T, hostPort string) *types.NetAddress {
	t.Helper()
	addr, err := types.ParseNetAddress(types.NetAddressString(types.GenerateNodeKey().ID(), hostPort))
	require.NoError(t, err)

	return addr
}
