package dropin

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnodiscovery "github.com/gnolang/gno/tm2/pkg/p2p/discovery"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// gnoNode is a node as gnoland runs it: gno's discovery with its own store, our DHT, and a home.
type gnoNode struct {
	*gnoRecorder
	sw   *Switch
	key  gnotypes.NodeKey
	home string
	log  strings.Builder // until Start
}

// newGnoNode makes a node that is not started. One that is made again in its home has its key.
func newGnoNode(t *testing.T, former *gnoNode, change func(*gnoconfig.P2PConfig)) *gnoNode {
	t.Helper()
	n := &gnoNode{gnoRecorder: newGnoRecorder("recorder", testChannel)}
	key, info := newIdentity(testChannel, channelDiscovery)
	if n.key, n.home = key, homeWithDHT(t); former != nil {
		n.key, n.home = former.key, former.home
		info.NetAddress.ID = n.key.ID()
	}
	cfg := loopbackConfig()
	cfg.RootDir, cfg.PeerExchange = n.home, true
	change(cfg)
	store, err := gnodiscovery.NewStore(cfg.AddrBookFile(), *info.NetAddress)
	require.NoError(t, err)
	n.sw, err = NewConfiguredSwitch(info, n.key, cfg, map[string]p2p.Reactor{
		"R": n, "DISCOVERY": gnodiscovery.NewReactor(store),
	}, slog.New(slog.NewTextHandler(&n.log, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.sw.Close()) })
	require.NoError(t, n.sw.Listen())

	return n
}

func homeWithDHT(t *testing.T) string {
	t.Helper()

	return homeWith(t, map[string]string{ownFile: "[p2p]\ndht = true"})
}

func (n *gnoNode) start(t *testing.T) *gnoNode {
	t.Helper()
	require.NoError(t, n.sw.Start())

	return n
}

func (n *gnoNode) book() *addrbook.Book { return n.sw.transport.(*dual.Transport).AddrBook() }

// of returns what the DHT's book has of the node.
func (n *gnoNode) of(id gnotypes.ID) []addrbook.Entry { return n.book().Of(types.ID(id)) }

func (n *gnoNode) bookFile() string { return filepath.Join(n.home, "config", "addrbook.libp2p.json") }

// TestRestartedNodeFindsItsNetworkWithoutASeed runs nodes that know only a seed, which dies. One
// of them is started again when its network cannot be reached yet, and finds it when it is back.
func TestRestartedNodeFindsItsNetworkWithoutASeed(t *testing.T) {
	seed := newGnoNode(t, nil, func(*gnoconfig.P2PConfig) {}).start(t)
	dead := seed.sw.NetAddress()
	friend := newGnoNode(t, nil, func(cfg *gnoconfig.P2PConfig) {
		cfg.Seeds, cfg.MaxNumOutboundPeers = dead.String(), 0 // it looks for nobody
	}).start(t)
	at := friend.sw.NetAddress()
	seeded := func(cfg *gnoconfig.P2PConfig) { cfg.Seeds = dead.String() }
	n := newGnoNode(t, nil, seeded).start(t)
	for awaitWithin(t, time.Minute, n.added).ID() != at.ID {
	}
	require.NoError(t, seed.sw.Close())
	require.NoError(t, n.sw.Close())
	require.NoError(t, friend.sw.Close())

	n = newGnoNode(t, n, seeded)
	require.NotEmpty(t, n.of(at.ID), "it remembers the friend")
	n.start(t)
	failed := func(e addrbook.Entry) bool { return e.Failures > 0 }
	require.Eventually(t, func() bool { return slices.ContainsFunc(n.of(at.ID), failed) }, time.Minute, 10*time.Millisecond)

	friend.home = homeWithDHT(t) // it has forgotten everybody
	friend = newGnoNode(t, friend, func(cfg *gnoconfig.P2PConfig) {
		cfg.ListenAddress, cfg.MaxNumOutboundPeers = "tcp://"+at.DialString(), 0
	}).start(t)
	back := time.Now()
	require.Equal(t, n.key.ID(), awaitWithin(t, 2*time.Minute, friend.added).ID())
	t.Logf("%s: connected again after %s", t.Name(), time.Since(back).Round(time.Millisecond))
}

// TestDHTBookOmitsPrivatePeers checks the file of a node that had a private peer and another one.
func TestDHTBookOmitsPrivatePeers(t *testing.T) {
	hidden, shown := newGnoNode(t, nil, unchanged).start(t), newGnoNode(t, nil, unchanged).start(t)
	private, public := hidden.sw.NetAddress(), shown.sw.NetAddress()
	n := newGnoNode(t, nil, func(cfg *gnoconfig.P2PConfig) {
		cfg.PersistentPeers, cfg.PrivatePeerIDs = private.String()+","+public.String(), string(private.ID)
	}).start(t)
	await(t, n.added)
	await(t, n.added)
	require.NoError(t, n.sw.Close())
	text, err := os.ReadFile(n.bookFile())
	require.NoError(t, err)
	require.Contains(t, string(text), public.String())
	require.NotContains(t, string(text), string(private.ID))
}

// TestDHTBookThatCannotBeRead checks that the node starts, says so, and leaves the file alone.
func TestDHTBookThatCannotBeRead(t *testing.T) {
	n := newGnoNode(t, nil, unchanged)
	require.NotContains(t, n.log.String(), "level=WARN")
	require.NoError(t, n.sw.Close())
	require.NoError(t, os.Mkdir(n.bookFile(), 0o700))
	n = newGnoNode(t, n, unchanged)
	require.Contains(t, n.log.String(), "level=WARN msg=\"the DHT forgets its peers")
	require.Contains(t, n.log.String(), n.bookFile())
	require.NoError(t, n.start(t).sw.Close())
	require.DirExists(t, n.bookFile())
}

// TestOnlyADHTHasItsOwnBook checks in which nodes the libp2p stack's book has a file, and where.
func TestOnlyADHTHasItsOwnBook(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*gnoconfig.P2PConfig)
		file   string // in the home, or nothing
	}{
		"default":      {unchanged, "config/addrbook.libp2p.json"},
		"other name":   {func(cfg *gnoconfig.P2PConfig) { cfg.AddrBook = "data/book" }, "data/book.libp2p"},
		"without pex":  {func(cfg *gnoconfig.P2PConfig) { cfg.PeerExchange = false }, ""},
		"without home": {func(cfg *gnoconfig.P2PConfig) { cfg.RootDir = "" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStack(t, func(t *testing.T, s stack) {
				if c.file == "" || s.name == "native" { // which has no DHT
					require.Empty(t, bookFiles(t, s, c.change))
				} else {
					require.Equal(t, []string{c.file}, bookFiles(t, s, c.change))
				}
			})
		})
	}
}

// bookFiles returns the files that a node with a DHT has left in its home, in a book that it had the
// address of a peer to keep in.
func bookFiles(t *testing.T, s stack, change func(*gnoconfig.P2PConfig)) []string {
	t.Helper()
	cfg := loopbackConfig()
	cfg.RootDir, cfg.PeerExchange = t.TempDir(), true
	home := cfg.RootDir
	change(cfg)
	sw := newSwitchWith(t, s, cfg, map[string]p2p.Reactor{"R": newGnoRecorder("r", testChannel)}, WithDHT())
	other := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: []byte{127, 0, 0, 1}, Port: 26656}
	if tr, ok := sw.transport.(interface{ AddrBook() *addrbook.Book }); ok {
		tr.AddrBook().MarkAnswered(&other, types.StackLibp2p)
	}
	require.NoError(t, sw.Start())
	require.NoError(t, sw.Close())

	return filesIn(t, home)
}

// filesIn returns the files in a folder and below.
func filesIn(t *testing.T, dir string) (files []string) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}

		return err
	}))

	return files
}
