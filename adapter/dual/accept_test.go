package dual_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// A node accepts the stacks that it is told to, at one port.
func TestAcceptTheStacksOfThePolicy(t *testing.T) {
	t.Parallel()
	n, l := types.StackNative, types.StackLibp2p
	for policy, want := range map[dual.Stack]map[string]types.Stack{
		dual.StackDual:   {"native": n, "libp2p": l, "dual": l},
		dual.StackNative: {"native": n, "libp2p": "", "dual": n},
		dual.StackLibp2p: {"native": "", "libp2p": l, "dual": l},
	} {
		for kind, stack := range want {
			t.Run(kind+" dials "+string(policy), func(t *testing.T) {
				t.Parallel()
				remote, accepted := listen(t, "dual", loopbackSpec(), dual.WithStack(policy))
				dialer := kinds[kind](t, loopbackSpec())
				t.Cleanup(func() { require.NoError(t, dialer.Close()) })
				p, err := dialer.Dial(timeout(t), remote.NetAddress(), newBehavior())
				if stack == "" {
					require.Equal(t, compat.DialForeign, compat.ClassifyDial(err), "%v", err)

					return
				}
				require.NoError(t, err)
				require.NoError(t, p.Start())
				require.Equal(t, stack, <-accepted)
				require.Equal(t, remote.NetAddress().Port, p.NodeInfo().NetAddress.Port)
			})
		}
	}
}

// A remote that waits for the node to speak hears the native protocol.
func TestSilentRemoteIsServedNatively(t *testing.T) {
	t.Parallel()
	remote, _ := listen(t, "dual", loopbackSpec(), dual.WithLibp2p(leeway.Sniff(50*time.Millisecond).(lp2p.Option)))
	addr := remote.NetAddress()
	conn, err := net.Dial("tcp", addr.DialString())
	require.NoError(t, err)
	defer conn.Close()
	first := make([]byte, len(sniff.NativeStart))
	_, err = io.ReadFull(conn, first)
	require.NoError(t, err)
	require.Equal(t, sniff.NativeStart, first)
}

func TestHTTPClientIsToldWhatThePortIs(t *testing.T) {
	t.Parallel()
	remote, _ := listen(t, "dual", loopbackSpec())
	addr := remote.NetAddress()
	conn, err := net.Dial("tcp", addr.DialString())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: node\r\nUser-Agent: check\r\n\r\n")
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "Tendermint2")
}

// A private node tells its address on neither stack.
func TestPrivateNodeTellsNoAddress(t *testing.T) {
	t.Parallel()
	spec := loopbackSpec()
	spec.Info.NetAddress.IP = net.IPv4(5, 6, 7, 8)
	remote := kinds["dual"](t, spec, dual.WithLibp2p(lp2p.WithPrivateNode()))
	t.Cleanup(func() { require.NoError(t, remote.Close()) })
	require.NoError(t, remote.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
	ctx, behavior := timeout(t), newBehavior()
	for _, kind := range []string{"native", "libp2p"} {
		dialer := kinds[kind](t, loopbackSpec())
		t.Cleanup(func() { require.NoError(t, dialer.Close()) })
		go func() { _, _ = remote.Accept(ctx, behavior) }() // it ends with the nodes, at the latest
		p, err := dialer.Dial(ctx, remote.NetAddress(), newBehavior())
		require.NoError(t, err)
		require.True(t, p.NodeInfo().NetAddress.IP.IsUnspecified(), kind)
	}
}

// A listener closes although nobody accepts the peers that it has passed on.
func TestListenerClosesWithoutAccept(t *testing.T) {
	t.Parallel()
	spec := loopbackSpec()
	remote := kinds["dual"](t, spec).(*dual.Transport)
	t.Cleanup(func() { require.NoError(t, remote.Close()) })
	require.NoError(t, remote.Listen(*spec.Info.NetAddress))
	dialer := kinds["native"](t, loopbackSpec())
	t.Cleanup(func() { require.NoError(t, dialer.Close()) })
	_, err := dialer.Dial(timeout(t), remote.NetAddress(), newBehavior())
	require.NoError(t, err)

	network := remote.Libp2p().Host().Network().(*swarm.Swarm)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		network.ListenClose(network.ListenAddresses()...)
	}()
	select {
	case <-closed:
	case <-time.After(patient):
		t.Error("the listener waits for Accept")
	}
}

// QUIC has the UDP port of the same number, and both families are served.
func TestWildcardServesBothFamiliesAndQUIC(t *testing.T) {
	t.Parallel()
	spec := loopbackSpec()
	tr, err := dual.NewTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), nil, dual.WithLibp2p(lp2p.WithQUIC()))
	require.NoError(t, err)
	defer func() { require.NoError(t, tr.Close()) }()
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4zero}))
	addr := tr.NetAddress()
	require.ErrorIs(t, tr.Listen(types.NetAddress{IP: net.IPv4zero}), compat.ErrAlreadyListening)
	for _, ip := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
		at := types.NetAddress{ID: addr.ID, IP: ip, Port: addr.Port}
		conn, err := net.Dial("tcp", at.DialString())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		_, err = net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: int(addr.Port)})
		require.Error(t, err, "QUIC has the port")
	}
}
