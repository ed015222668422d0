package interoptests

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// With these settings, a side drops a peer that does not answer a ping before the next one. A
// process may be held up for seconds on a busy machine.
const (
	pingInterval = 10 * time.Second
	pongTimeout  = pingInterval - 100*time.Millisecond
	// pings is how many pings a connection has to survive.
	pings = 2
)

// TestPings checks that idle peers send only pings and pongs, each in its own frame. A side
// that does not ping sends only pongs.
func TestPings(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, version string) {
		// All three wait at the same time.
		var checks []func()
		for name, who := range map[string]struct{ gno, ours bool }{
			"gno pings": {gno: true},
			"we ping":   {ours: true},
			"both ping": {gno: true, ours: true},
		} {
			checks = append(checks, startPings(t, version, name, who.gno, who.ours))
		}
		for _, check := range checks {
			check()
		}
	})
}

// startPings connects two peers that are idle from then on. It returns a check of their pings.
func startPings(t *testing.T, version, name string, gnoPings, wePing bool) (check func()) {
	t.Helper()
	o := legacy.Options{Version: version, Moniker: "gno"}
	if gnoPings {
		o.PingInterval, o.PongTimeout = pingInterval, pongTimeout
	}
	gno := legacy.Start(t, o)
	r := startRelay(t)
	r.release(gno)
	toGno := r.listen(gno.ID())
	ours := startNative(t, nodeOptions{moniker: "ours", persistent: []string{toGno}, configure: func(c *mconn.MConnConfig) {
		if wePing {
			c.PingInterval, c.PongTimeout = pingInterval, pongTimeout
		}
	}})
	awaitConnected(t, ours, gno)
	exchange(t, ours, gno, fewSizes)

	want := 0
	for _, pinging := range []bool{gnoPings, wePing} {
		if pinging {
			want += pings
		}
	}
	begun, _ := r.snapshot()
	last := len(begun) - 1 // a late dial may have come before
	before := begun[last]

	return func() {
		t.Helper()
		r.await(name+": pings and pongs", func(links []link) bool {
			require.Len(t, links, len(begun), name)
			require.False(t, links[last].closed, name)

			return links[last].framesTo() >= before.framesTo()+want && links[last].framesFrom() >= before.framesFrom()+want
		})
		exchange(t, ours, gno, fewSizes)
		requireStillConnected(t, ours, gno)
	}
}
