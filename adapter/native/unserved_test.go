package native

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// servesOne serves one of the channels that its NodeInfo promises.
type servesOne struct{ *behavior }

func (s servesOne) ReactorChDescriptors() []*compat.ChannelDescriptor {
	return s.behavior.ReactorChDescriptors()[1:]
}

func (s servesOne) Reactors() map[byte]compat.Reactor { return map[byte]compat.Reactor{chB: s} }

// A channel that nobody serves although the NodeInfo promises it costs no connection.
func TestUnservedChannelIsDropped(t *testing.T) {
	for name, outbound := range map[string]bool{"dialer": true, "listener": false} {
		t.Run(name, func(t *testing.T) {
			dialer, listener := newTransport(t, "net"), listen(t, "net")
			sending, receiving := newBehavior(), servesOne{newBehavior()}
			var bd, bl compat.PeerBehavior = receiving, sending
			if !outbound {
				bd, bl = sending, receiving
			}
			from, to := connect(t, dialer, listener, bd, bl)
			if outbound {
				from, to = to, from
			}
			require.NoError(t, from.Start())
			require.NoError(t, to.Start())

			for range 2 { // the second round comes after all of the first
				require.True(t, from.Send(chA, make([]byte, 100_000)))
				require.True(t, from.Send(chB, []byte("served")))
				require.Equal(t, received{chB, "served"}, next(t, receiving.messages))
			}
			from.FlushStop()
			require.NotErrorIs(t, next(t, receiving.errs), compat.ErrViolation)
			require.Empty(t, receiving.messages)
		})
	}
}
