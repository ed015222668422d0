package interoptests

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// With these settings, a side drops a peer that does not answer a ping before the next one.
const (
	pingInterval = 2 * time.Second
	pongTimeout  = pingInterval - 100*time.Millisecond
	// pings is how many pings a connection has to survive.
	pings = 3
)

// TestPings checks that idle peers send only pings and pongs, each in its own frame. A side
// that does not ping sends only pongs.
func TestPings(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		for name, who := range map[string]struct{ gno, ours bool }{
			"gno pings": {gno: true},
			"we ping":   {ours: true},
			"both ping": {gno: true, ours: true},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				requirePings(t, version, who.gno, who.ours)
			})
		}
	})
}

func requirePings(t *testing.T, version string, gnoPings, wePing bool) {
	t.Helper()
	o := legacy.Options{Version: version, Moniker: "gno"}
	if gnoPings {
		o.PingInterval, o.PongTimeout = pingInterval, pongTimeout
	}
	gno := legacy.Start(t, o)
	ours := startNative(t, nodeOptions{moniker: "ours", configure: func(c *mconn.MConnConfig) {
		if wePing {
			c.PingInterval, c.PongTimeout = pingInterval, pongTimeout
		}
	}})
	r := startRelay(t)
	r.release(gno)
	ours.Dial(r.listen(gno.ID()))
	ours.AwaitUp(t, gno.ID(), 1)
	gno.AwaitUp(t, ours.ID(), 1)
	exchange(t, ours, gno, fewSizes)

	want := 0
	for _, pinging := range []bool{gnoPings, wePing} {
		if pinging {
			want += pings
		}
	}
	links, _ := r.snapshot()
	require.Len(t, links, 1)
	before := links[0]
	r.await("pings and pongs", func(links []link) bool {
		require.False(t, links[0].closed)

		return links[0].framesTo() >= before.framesTo()+want && links[0].framesFrom() >= before.framesFrom()+want
	})
	exchange(t, ours, gno, fewSizes)
	requireStillConnected(t, ours, gno)
	require.Len(t, ours.Events(func(e protocol.Event) bool { return e.Event == protocol.EventPeerUp }), 1)
}
