package compattest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	chA = byte(0x20)
	chB = byte(0x21)
)

// host is a PeerBehavior with one reactor, for a transport without a switch.
type host struct {
	compat.BaseReactor
	tr    *memory.Transport
	descs []*compat.ChannelDescriptor
	admit func(compat.ConnInfo, types.NodeInfo) error

	onReceive func(peer compat.PeerConn, msg []byte)

	mtx  sync.Mutex
	got  []string
	errs []error
}

func newHost(n *memory.Network, channels ...byte) *host {
	h := &host{tr: n.NewTransport(channels...)}
	for _, ch := range channels {
		h.descs = append(h.descs, &compat.ChannelDescriptor{ID: ch, Priority: 1, SendQueueCapacity: 3, RecvMessageCapacity: 100})
	}

	return h
}

func (h *host) ReactorChDescriptors() []*compat.ChannelDescriptor { return h.descs }
func (h *host) IsPersistentPeer(types.ID) bool                    { return true }
func (h *host) IsPrivatePeer(types.ID) bool                       { return false }

func (h *host) Reactors() map[byte]compat.Reactor {
	m := make(map[byte]compat.Reactor)
	for _, d := range h.descs {
		m[d.ID] = h
	}

	return m
}

func (h *host) AdmitPeer(info compat.ConnInfo, node types.NodeInfo) error {
	if h.admit == nil {
		return nil
	}

	return h.admit(info, node)
}

func (h *host) HandlePeerError(p compat.PeerConn, err error) {
	h.mtx.Lock()
	h.errs = append(h.errs, err)
	h.mtx.Unlock()
	// The peer may have been stopped since the failure.
	if stopErr := p.Stop(); stopErr != nil && !errors.Is(stopErr, service.ErrAlreadyStopped) {
		panic(stopErr)
	}
}

func (h *host) Receive(ch byte, p compat.PeerConn, msg []byte) {
	h.mtx.Lock()
	h.got = append(h.got, fmt.Sprintf("%#02x %s", ch, msg))
	h.mtx.Unlock()
	if h.onReceive != nil {
		h.onReceive(p, msg)
	}
}

func (h *host) messages() []string {
	h.mtx.Lock()
	defer h.mtx.Unlock()

	return slices.Clone(h.got)
}

func (h *host) failures() []error {
	h.mtx.Lock()
	defer h.mtx.Unlock()

	return slices.Clone(h.errs)
}

func (h *host) addr() types.NetAddress { return h.tr.NetAddress() }

// connectPeers dials b from a and returns both ends, not started.
func connectPeers(t *testing.T, a, b *host) (dialed, accepted compat.PeerConn) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		accepted, err = b.tr.Accept(t.Context(), b)
		require.NoError(t, err)
	})
	dialed, err := a.tr.Dial(t.Context(), b.addr(), a)
	require.NoError(t, err)
	wg.Wait()

	return dialed, accepted
}

// pair returns two hosts with a connection whose ends are started.
func pair(t *testing.T) (a, b *host, pa, pb compat.PeerConn) {
	t.Helper()
	n := memory.NewNetwork()
	a, b = newHost(n, chA, chB), newHost(n, chA, chB)
	pa, pb = connectPeers(t, a, b)
	require.NoError(t, pa.Start())
	require.NoError(t, pb.Start())

	return a, b, pa, pb
}

func closeAll(t *testing.T, hosts ...*host) {
	t.Helper()
	for _, h := range hosts {
		require.NoError(t, h.tr.Close())
		require.Zero(t, h.tr.NumPeers())
	}
}

func TestRefusals(t *testing.T) {
	reject := compat.Reject(compat.RejectFull, "no room")
	for name, c := range map[string]struct {
		arrange func(a, b *host) types.NetAddress
		code    compat.RejectCode
		remote  bool
	}{
		"acceptor": {code: compat.RejectFull, remote: true, arrange: func(_, b *host) types.NetAddress {
			b.admit = func(info compat.ConnInfo, _ types.NodeInfo) error {
				if info.Outbound {
					return nil
				}

				return reject
			}

			return b.addr()
		}},
		"dialer": {code: compat.RejectFull, arrange: func(a, b *host) types.NetAddress {
			a.admit = func(compat.ConnInfo, types.NodeInfo) error { return reject }

			return b.addr()
		}},
		"identity": {code: compat.RejectIdentity, arrange: func(a, b *host) types.NetAddress {
			addr := b.addr()
			addr.ID = a.addr().ID

			return addr
		}},
		"incompatible": {code: compat.RejectIncompatible, remote: true, arrange: func(a, b *host) types.NetAddress {
			a.tr.Node.Network = "other"

			return b.addr()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memory.NewNetwork()
				a, b := newHost(n, chA), newHost(n, chA)
				defer closeAll(t, a, b)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					_, err := b.tr.Accept(ctx, b)
					require.ErrorIs(t, err, context.Canceled, "a refused remote is no error of Accept")
				})
				_, err := a.tr.Dial(ctx, c.arrange(a, b), a)
				var got *compat.RejectError
				require.ErrorAs(t, err, &got)
				require.Equal(t, c.code, got.Code)
				require.Equal(t, c.remote, got.Remote)
				cancel()
				wg.Wait()
				require.Zero(t, a.tr.NumPeers())
				require.Zero(t, b.tr.NumPeers())
			})
		})
	}
}

func TestSkipAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memory.NewNetwork()
		a, b := newHost(n, chA), newHost(n, chA)
		defer closeAll(t, a, b)
		b.admit = func(compat.ConnInfo, types.NodeInfo) error { return errors.New("never asked") }
		b.tr.SkipAdmission()
		connectPeers(t, a, b)
	})
}

func TestDialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memory.NewNetwork()
		a, b := newHost(n, chA), newHost(n, chA)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.tr.Dial(ctx, b.addr(), a) // nobody accepts
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = a.tr.Dial(ctx, b.addr(), a)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := a.tr.Dial(t.Context(), b.addr(), a)
			require.ErrorIs(t, err, memory.ErrRefused, "the listener is closed while the dial waits")
		})
		synctest.Wait()
		require.NoError(t, b.tr.Close())
		wg.Wait()
		_, err = a.tr.Dial(t.Context(), b.addr(), a)
		require.ErrorIs(t, err, memory.ErrRefused)

		require.NoError(t, a.tr.Close())
		require.NoError(t, a.tr.Close())
		_, err = a.tr.Dial(t.Context(), b.addr(), a)
		require.ErrorIs(t, err, compat.ErrTransportClosed)
		_, err = a.tr.Accept(t.Context(), a)
		require.ErrorIs(t, err, compat.ErrTransportClosed)
	})
}

func TestAcceptSkipsADialThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memory.NewNetwork()
		a, b := newHost(n, chA), newHost(n, chA)
		defer closeAll(t, a, b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.tr.Dial(ctx, b.addr(), a)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		connectPeers(t, a, b)
		require.Equal(t, 1, b.tr.NumPeers())
	})
}

func TestNewTransportFor(t *testing.T) {
	n := memory.NewNetwork()
	a := n.NewTransport(chA)
	_, err := n.NewTransportFor(a.NodeInfo())
	require.ErrorIs(t, err, memory.ErrAddressInUse)
	require.NoError(t, a.Close())
	again, err := n.NewTransportFor(a.NodeInfo())
	require.NoError(t, err)
	require.Equal(t, a.NetAddress(), again.NetAddress())
	require.NoError(t, again.Close())
	_, err = n.NewTransportFor(types.NodeInfo{})
	require.Error(t, err)
	require.NoError(t, n.NewNodeInfo(chA).Validate())
}
