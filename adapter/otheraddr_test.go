package adapter

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// dialingNode is a node that dials through a transport where every address but those of
// listening nodes stays silent.
type dialingNode struct {
	*node
	network *memory.Network

	mtx   sync.Mutex
	tried []string
}

// addresses are those that were dialed, in order.
func (s *dialingNode) addresses() []string {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return slices.Clone(s.tried)
}

func newDialingNode(t *testing.T, network *memory.Network, opts ...SwitchOption) *dialingNode {
	t.Helper()
	s := &dialingNode{network: network}
	s.node = newNodeOn(t, network.NewTransport(chA, chB), func(tr *memory.Transport) compat.Transport {
		return &dialHook{Transport: tr, dial: func(
			ctx context.Context, addr types.NetAddress, b compat.PeerBehavior,
		) (compat.PeerConn, error) {
			s.mtx.Lock()
			s.tried = append(s.tried, addr.DialString())
			s.mtx.Unlock()
			if addr.Port < 100 {
				<-ctx.Done()

				return nil, ctx.Err()
			}

			return tr.Dial(ctx, addr, b)
		}}
	}, opts...)

	return s
}

// silent is an address of the peer where nobody answers.
func silent(peer *node, port uint16) *types.NetAddress {
	addr := *peer.addr()
	addr.Port = port

	return &addr
}

func TestOtherAddressesAreTriedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		honest := newNode(t, network)
		a := newDialingNode(t, network)
		defer start(t, a.node, honest)()
		a.DialPeers(silent(honest, 1))
		synctest.Wait()
		a.DialPeers(silent(honest, 1), silent(honest, 2), silent(honest, 2), honest.addr(), silent(honest, 3))
		pass(2*DefaultDialTimeout - 1)
		require.False(t, a.Peers().Has(honest.id()))
		pass(1)
		require.True(t, a.Peers().Has(honest.id()))
		require.Equal(t, []string{
			silent(honest, 1).DialString(), silent(honest, 2).DialString(), honest.addr().DialString(),
		}, a.addresses(), "one at a time, each once, and no more than three")
		pass(time.Minute)
		require.Len(t, a.addresses(), 3)
	})
}

// Whoever keeps naming a peer at dead addresses delays it; it does not keep it away.
func TestWrongAddressesDoNotKeepAPeerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		honest := newNode(t, network)
		a := newDialingNode(t, network)
		defer start(t, a.node, honest)()
		for port := range uint16(20) {
			a.DialPeers(silent(honest, port+1), honest.addr())
			pass(time.Second)
		}
		require.True(t, a.Peers().Has(honest.id()))
	})
}

// What waits for a peer goes when the peer connects, or when the slots are full.
func TestOtherAddressesAreDropped(t *testing.T) {
	for name, end := range map[string]func(a, honest, rival *node){
		"the peer has connected": func(a, honest, _ *node) { honest.DialPeers(a.addr()) },
		"no slot is free":        func(a, _, rival *node) { a.DialPeers(rival.addr()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				honest, rival := newNode(t, network), newNode(t, network)
				a := newDialingNode(t, network, WithMaxOutboundPeers(1))
				defer start(t, a.node, honest, rival)()
				a.DialPeers(silent(honest, 1), silent(honest, 2))
				synctest.Wait()
				end(a.node, honest, rival)
				synctest.Wait()
				require.Zero(t, a.dials.countOthers())
				require.Len(t, a.Peers().List(), 1)
				pass(time.Minute)
				require.NotContains(t, a.addresses(), silent(honest, 2).DialString())
			})
		})
	}
}

func (d *dialer) countOthers() int {
	d.mtx.Lock()
	defer d.mtx.Unlock()

	return len(d.others)
}
