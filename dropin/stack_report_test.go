package dropin

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// TestStackReport checks that the log tells the native peers a minute after the start, once for
// each change, and at most once in an interval.
func TestStackReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mtx   sync.Mutex // for what follows
			log   strings.Builder
			links []adapter.Link
		)
		set := func(list ...adapter.Link) {
			mtx.Lock()
			defer mtx.Unlock()
			links = list
		}
		r := newStackReport(time.Minute)
		r.SetLogger(slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mtx.Lock()
			defer mtx.Unlock()

			return log.Write(p)
		}), nil)))
		r.links = func() []adapter.Link {
			mtx.Lock()
			defer mtx.Unlock()

			return links
		}
		require.NoError(t, r.Start())
		told := func() string {
			time.Sleep(time.Minute)
			synctest.Wait()
			mtx.Lock()
			defer mtx.Unlock()
			defer log.Reset()

			return log.String()
		}
		require.Contains(t, told(), `native=0 libp2p=0`, "that nobody is there is said once")
		require.Empty(t, told(), "nothing has changed")

		native := func(id types.ID) adapter.Link { return adapter.Link{PeerID: id, Stack: types.StackNative} }
		libp2p := adapter.Link{PeerID: "g1b", Stack: types.StackLibp2p}
		set(native("g1a"), libp2p, native("g1c"))
		line := told()
		require.Contains(t, line, `msg="peers by stack" native=2 libp2p=1 native_peers="[g1a g1c]"`)
		require.Equal(t, 1, strings.Count(line, "\n"))
		require.Empty(t, told(), "nothing has changed")

		set(libp2p, libp2p, native("g1c"))
		require.Contains(t, told(), `native=1 libp2p=2 native_peers=[g1c]`)
		set(libp2p, libp2p, native("g1d"))
		require.Contains(t, told(), `native=1 libp2p=2 native_peers=[g1d]`, "another one is native")
		set(libp2p, adapter.Link{PeerID: "g1d", Stack: types.StackNative, Tunnel: "g1bridge"})
		require.Contains(t, told(), `native=1 libp2p=1 native_peers=[g1d] in_tunnels="[g1d by g1bridge]"`)
		require.NoError(t, r.Stop())
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
