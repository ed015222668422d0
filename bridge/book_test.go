package bridge

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A bridge whose only configured libp2p node has died is started again while nobody else can be
// reached either. When a node is back that it has found before, native nodes get that one.
func TestRestartedBridgeRemembersItsTargets(t *testing.T) {
	own := startNode(t, InitiatorLibp2p, types.GenerateNodeKey(), nil, withDHT(t))
	key := types.GenerateNodeKey()
	found := startNode(t, InitiatorLibp2p, key, nil, withDHT(t, own))
	next(t, own.added) // they have found each other
	next(t, found.added)
	config := Config{
		Libp2pPeers: addresses(own), Libp2pNetwork: "bridged", AddrBook: filepath.Join(t.TempDir(), "addrbook.json"),
	}
	b := newBridge(t, config)
	answered := func(e []addrbook.Entry) bool { return len(e) == 1 && e[0].HasAnswered() }
	require.Eventually(t, func() bool { return answered(b.book.Of(key.ID())) }, testTimeout, testTimeout/1000)
	require.NoError(t, b.Stop())
	own.stop()
	found.stop()

	b = newBridge(t, config)
	native := newNode(t, InitiatorNative)
	refused, done := native.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	native.dial(b.NativeAddress())
	next(t, refused)
	found = startNodeAt(t, InitiatorLibp2p, key, found.address, nil, withDHT(t))
	native.join(t, b.NativeAddress())
	found.nextNative(t)
	exchange(t, native, found)
}

// The file of a bridge never has a private node, though the bridge serves it as any other.
func TestBookOmitsPrivateNodes(t *testing.T) {
	hidden, shown := newNode(t, InitiatorLibp2p), newNode(t, InitiatorLibp2p)
	path := filepath.Join(t.TempDir(), "addrbook.json")
	b := newBridge(t, Config{
		Libp2pPeers: addresses(hidden, shown), PrivatePeers: []types.ID{hidden.address.ID}, AddrBook: path,
	})
	for range 2 {
		newNode(t, InitiatorNative).join(t, b.NativeAddress())
	}
	next(t, hidden.added) // each has the fewest pairs once
	next(t, shown.added)
	require.NoError(t, b.Stop())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), shown.address.String())
	require.NotContains(t, string(text), string(hidden.address.ID))
}

// A bridge whose book cannot be read starts, says so, and leaves the file alone.
func TestBookThatCannotBeRead(t *testing.T) {
	path, log := t.TempDir(), new(bytes.Buffer)
	_, err := New(*types.GenerateNodeKey(), Config{AddrBook: path}, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	require.Contains(t, log.String(), "level=WARN msg=\"the bridge forgets the nodes")
	require.Contains(t, log.String(), path)
	require.DirExists(t, path)
}
