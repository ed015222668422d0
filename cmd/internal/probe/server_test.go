package probe_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func loopback(id types.ID) types.NetAddress {
	return types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)}
}

func nodeInfo(id types.ID) types.NodeInfo {
	addr := loopback(id)
	return types.NodeInfo{NetAddress: &addr, Network: "test", Version: "v1.0.0", Moniker: "target", Channels: []byte{0x20}}
}

// startNative starts a node that speaks the native protocol.
func startNative(t *testing.T, key *types.NodeKey) (*native.MultiplexTransport, string) {
	mt := native.NewMultiplexTransport(nodeInfo(key.ID()), *key, mconn.DefaultMConnConfig(), nil)
	require.NoError(t, mt.Listen(loopback(key.ID())))
	t.Cleanup(func() { require.NoError(t, mt.Close()) })

	return mt, dialString(mt)
}

// patientTimeouts are those of a node whose handshakes succeed on a busy machine.
func patientTimeouts() lp2p.Option {
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake = patient, patient

	return lp2p.WithTimeouts(timeouts)
}

// startLibp2p starts a node that speaks libp2p.
func startLibp2p(t *testing.T, key *types.NodeKey) (*lp2p.Transport, string) {
	lt, err := lp2p.NewTransport(nodeInfo(key.ID()), *key, nil, patientTimeouts())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lt.Close()) })
	require.NoError(t, lt.Listen(loopback(key.ID())))

	return lt, dialString(lt)
}

func dialString(t interface{ NetAddress() types.NetAddress }) string {
	addr := t.NetAddress()
	return addr.DialString()
}

// serve runs a TCP server. It closes the connections at the end of the test.
func serve(t *testing.T, handle func(conn net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)

	var mtx sync.Mutex
	var conns []net.Conn
	closed := false
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mtx.Lock()
			conns = append(conns, conn)
			if closed {
				_ = conn.Close()
			}
			mtx.Unlock()
			wg.Go(func() { handle(conn) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		mtx.Lock()
		closed = true
		for _, conn := range conns {
			if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
				require.NoError(t, err)
			}
		}
		mtx.Unlock()
		wg.Wait()
	})

	return listener.Addr().String()
}

// proxy connects each dialer to the address that choose returns for the dialer's first
// byte.
func proxy(t *testing.T, choose func(first byte) string) string {
	return serve(t, func(conn net.Conn) {
		defer conn.Close()
		r := bufio.NewReader(conn)
		first, err := r.Peek(1)
		if err != nil {
			return
		}
		target, err := net.Dial("tcp", choose(first[0]))
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.Copy(target, r) // either end may close
			_ = target.Close()
		})
		_, _ = io.Copy(conn, target)
		_ = conn.Close()
		_ = target.Close()
		wg.Wait()
	})
}

// behavior is the PeerBehavior of a switch without reactors.
type behavior struct{}

func (behavior) ReactorChDescriptors() []*compat.ChannelDescriptor { return nil }
func (behavior) Reactors() map[byte]compat.Reactor                 { return nil }
func (behavior) HandlePeerError(compat.PeerConn, error)            {}
func (behavior) IsPersistentPeer(types.ID) bool                    { return false }
func (behavior) IsPrivatePeer(types.ID) bool                       { return false }
