package adapter

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// bound is a peer on a connection that is bound to an address of the machine.
type bound struct {
	compat.PeerConn
	ip net.IP
}

func (b *bound) LocalIP() net.IP  { return b.ip }
func (b *bound) CloseLost() error { return b.CloseConn() }

// interfaces are those of a machine in a test.
type interfaces struct {
	mtx sync.Mutex
	ips []net.IP
	err error
}

func (i *interfaces) set(err error, ips ...net.IP) {
	i.mtx.Lock()
	defer i.mtx.Unlock()
	i.ips, i.err = ips, err
}

func (i *interfaces) addrs() (list []net.Addr, err error) {
	i.mtx.Lock()
	defer i.mtx.Unlock()
	for _, ip := range i.ips {
		list = append(list, &net.IPNet{IP: ip, Mask: net.CIDRMask(24, 32)})
	}

	return list, i.err
}

// A machine that moves to another network dials its peers anew at once. An address that is away
// for a moment, or that no interface ever had, ends nothing, and nor does a failed look.
func TestConnectionsOfALostAddressEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		old, other := net.IPv4(10, 0, 0, 5), net.IPv4(10, 0, 1, 5)
		machine := &interfaces{ips: []net.IP{old, other}}
		peers := make([]*node, 4)
		locals := make(map[types.ID]net.IP)
		var addrs []*types.NetAddress
		for i, local := range []net.IP{old, other, net.IPv4(192, 0, 2, 1), net.IPv4(127, 0, 0, 1)} {
			peers[i] = newNode(t, network)
			locals[peers[i].id()] = local
			addrs = append(addrs, peers[i].addr())
		}
		moves := peers[0]
		var dials atomic.Int64
		var moved atomic.Bool
		hub := newNodeOn(t, network.NewTransport(chA, chB), func(tr *memory.Transport) compat.Transport {
			return &dialHook{Transport: tr, dial: func(
				ctx context.Context, addr types.NetAddress, b compat.PeerBehavior,
			) (compat.PeerConn, error) {
				conn, err := tr.Dial(ctx, addr, b)
				if err != nil {
					return nil, err
				}
				local := locals[addr.ID]
				if addr.ID == moves.id() {
					dials.Add(1)
					if moved.Load() {
						local = net.IPv4(10, 0, 2, 5)
					}
				}

				return &bound{conn, local}, nil
			}}
		}, WithPersistentPeers(addrs))
		hub.interfaces = machine.addrs
		defer start(t, append(peers, hub)...)()
		pass(time.Minute)
		require.Len(t, hub.Peers().List(), len(peers))

		machine.set(nil, other) // for a moment
		pass((absentAlone - 1) * localInterval)
		machine.set(nil, old, other)
		pass(time.Minute)
		machine.set(errors.New("no answer"))
		pass(time.Minute)
		require.EqualValues(t, 1, dials.Load())

		machine.set(nil, other, net.IPv4(10, 0, 2, 5))
		moved.Store(true)
		pass((absentMoved + 1) * localInterval)
		require.EqualValues(t, 2, dials.Load())
		require.Len(t, hub.Peers().List(), len(peers))
		require.Equal(t, net.IPv4(10, 0, 2, 5), hub.Peers().Get(moves.id()).(compat.LocalPeer).LocalIP())
		pass(time.Minute)
		require.EqualValues(t, 2, dials.Load(), "nobody else is dialed again")

		machine.set(nil, other)
		pass((absentMoved + 1) * localInterval)
		require.EqualValues(t, 2, dials.Load(), "it may come back")
		pass(absentAlone * localInterval)
		require.EqualValues(t, 3, dials.Load())
	})
}
