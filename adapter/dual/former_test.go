package dual_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// A peer whose Receive blocks, and which comes again and again meanwhile, holds up nobody else,
// whatever IPs it comes from: one of its connections waits for the removal of the former one, and
// the others are refused at once.
func TestOneConnectionOfAPeerWaitsForItsFormerOne(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	const hosts, comes = 5, 40 // more than the switch admits at once
	for _, kind := range honestKinds {
		t.Run(kind, func(t *testing.T) {
			entered, release := make(chan compat.PeerConn, 1), make(chan struct{})
			hub := kinds[kind](t, loopbackSpec())
			require.NoError(t, hub.Listen(types.NetAddress{IP: net.IPv4zero}))
			sw := adapter.NewMultiplexSwitch(hub, adapter.WithReactor("echo",
				newEcho(func(from compat.PeerConn, _ []byte) { entered <- from; <-release })))
			require.NoError(t, sw.Start())
			t.Cleanup(func() {
				close(release)
				require.NoError(t, sw.Stop())
				require.NoError(t, hub.Close())
			})

			addr := hub.NetAddress()
			addr.IP = net.ParseIP("8.8.8.8")
			spec := loopbackSpec()
			from := func(ip string, spec compattest.Spec) func() (compat.PeerConn, error) {
				tr, err := atIP(kind, ip, spec)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, tr.Close()) })

				return func() (compat.PeerConn, error) { return tr.Dial(timeout(t), addr, newBehavior()) }
			}
			seen, done := sw.Subscribe(nil)
			defer done()
			first, err := from("60.0.1.1", spec)()
			require.NoError(t, err)
			require.NoError(t, first.Start())
			require.True(t, first.Send(channel, []byte("hold")))
			require.IsType(t, events.PeerConnectedEvent{}, stacktest.Next(t, seen, time.Minute)) // a message may overtake it
			sw.StopPeerForError(<-entered, errors.New("a reactor has had enough"))               // removed after Receive

			var twins sync.WaitGroup
			for i := range hosts {
				dial := from(fmt.Sprintf("60.%d.1.1", 1+i), spec)
				for range comes / hosts {
					twins.Go(func() { _, _ = dial() })
				}
			}
			twins.Wait()
			honest := loopbackSpec()
			_, err = from("51.0.0.1", honest)()
			require.NoError(t, err)

			refusedAtOnce, waited := 0, 0
			for {
				switch e := (<-seen).(type) {
				case events.PeerRejectedEvent:
					require.Equal(t, spec.Key.ID(), e.PeerID)
					if strings.Contains(e.Reason.Error(), "still being removed") {
						waited++
					} else {
						refusedAtOnce++
					}

					continue
				case events.PeerConnectedEvent:
					require.Equal(t, honest.Key.ID(), e.PeerID)
				}
				t.Log(kind, "refused at once", refusedAtOnce, "waited", waited)
				require.Greater(t, refusedAtOnce, waited)

				return
			}
		})
	}
}
