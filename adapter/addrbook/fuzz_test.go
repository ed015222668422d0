package addrbook_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Whatever is in the file, opening it gives a book within its limits, which can be
// saved and is then read as it was.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"peers":[{"addr":"` + idA + `@1.2.3.4:1","last_seen":1,"last_connected":2,"advertised":true,"failures":3}]}`))
	f.Add([]byte(`{"peers":[{"addr":"` + idA + `@[::1]:1","source":"` + idB + `","source_group":"1.2.0.0/16"},5,null]}`))
	f.Add([]byte(`{"peers":[{"addr":"` + idB + `@1.2.3.4:1"},{"addr":"` + idB + `@1.2.3.4:2"},{"addr":"` + idB + `@1.2.3.4:3"},` +
		`{"addr":"` + idB + `@1.2.3.4:4"}]}`))
	f.Add([]byte(`{"peers":[{"addr":"` + idA + `@1.2.3.4:1","key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","stack":"libp2p"}]}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(``))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "book")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		book, err := addrbook.Open(path, types.NetAddress{}, addrbook.WithMaxPeers(5))
		require.NoError(t, err)
		require.LessOrEqual(t, book.Size(), 5)
		kept, err := os.ReadFile(path + ".corrupt")
		if err == nil {
			require.Equal(t, content, kept)
			require.Zero(t, book.Size())
			require.NoError(t, os.Remove(path+".corrupt"))
		}
		addrs := book.Addresses()
		for _, addr := range addrs {
			require.NoError(t, addr.Validate())
		}
		book.MarkConnected(addrAt("1.2.3.4", 9999), true)
		require.NoError(t, book.Flush())
		again, err := addrbook.Open(path, types.NetAddress{}, addrbook.WithMaxPeers(5))
		require.NoError(t, err)
		require.ElementsMatch(t, texts(book.Addresses()), texts(again.Addresses()))
	})
}
