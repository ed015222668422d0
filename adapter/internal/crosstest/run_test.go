package crosstest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestInMemory(t *testing.T) {
	for name, skip := range map[string]bool{"refused in the handshake": false, "refused afterwards": true} {
		t.Run(name, func(t *testing.T) {
			network := memory.NewNetwork()
			Run(t, Options{Pairs: 4, Rounds: 50, NewTransport: func(t *testing.T) compat.Transport {
				tr := network.NewTransport(Channel)
				if skip {
					tr.SkipAdmission()
				}
				t.Cleanup(func() {
					require.Zero(t, tr.NumPeers())
					require.NoError(t, tr.Close())
				})

				return tr
			}})
		})
	}
}
