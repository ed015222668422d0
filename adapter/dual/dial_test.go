package dual_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// Every policy but those of one stack reaches every node, on the stack that the policy
// prefers where the node has both. A node of one stack sees a dialer of the other only where
// the policy says that the dialer speaks first.
func TestDialFindsTheStack(t *testing.T) {
	t.Parallel()
	n, l := types.StackNative, types.StackLibp2p
	for policy, want := range map[dual.DialPolicy]map[string]reached{
		dual.DialAuto:        {"native": {n, 0}, "libp2p": {l, 0}, "dual": {l, 0}},
		dual.DialNativeFirst: {"native": {n, 0}, "libp2p": {l, 1}, "dual": {n, 0}},
		dual.DialLibp2pFirst: {"native": {n, 1}, "libp2p": {l, 0}, "dual": {l, 0}},
		dual.DialNative:      {"native": {n, 0}, "libp2p": {"", 0}, "dual": {n, 0}},
		dual.DialLibp2p:      {"native": {"", 0}, "libp2p": {l, 0}, "dual": {l, 0}},
	} {
		for kind, want := range want {
			t.Run(string(policy)+" to "+kind, func(t *testing.T) {
				t.Parallel()
				got, err := reach(t, policy, kind)
				require.Equal(t, want, got, "%v", err)
				if want.stack == "" {
					require.Equal(t, compat.DialForeign, compat.ClassifyDial(err))
				}
			})
		}
	}
}

// reached is how a dial has ended.
type reached struct {
	stack  types.Stack // empty: the dial has failed
	wasted int         // connections over which the dialer has spoken in vain
}

// reach dials a new node of the kind, and returns what came of it, and the error of the dial.
func reach(t *testing.T, policy dual.DialPolicy, kind string) (reached, error) {
	t.Helper()
	remote, accepted := listen(t, kind, loopbackSpec())
	tap, addr := newTap(t, remote.NetAddress())
	dialer := newDialer(t, dual.WithDial(policy), dual.WithQuiet(quietFor(kind)))
	p, err := dialer.Dial(timeout(t), addr, newBehavior())
	if err != nil {
		return reached{}, err
	}
	require.NoError(t, p.Start())
	stack := p.(compat.StackReporter).Stack()
	require.Equal(t, stack, <-accepted)
	require.Equal(t, stack, dialer.AddrBook().LastStack(addr.ID))
	var conns, spoken int
	require.Eventually(t, func() bool { // the tap may not have read yet what was sent on a connection before this one
		conns, spoken = tap.spoken()

		return spoken == conns
	}, patient, time.Millisecond, "no other connection")

	return reached{stack, spoken - 1}, nil // the first contact learns the peer ID on its own
}

// quietFor returns how long to listen to a node of the kind. A native one speaks late if it is
// busy.
func quietFor(kind string) time.Duration {
	if kind == "native" {
		return patient
	}

	return 0
}

// A node that has changed its stacks is found by the next dial, whatever it spoke the last
// time.
func TestDialFindsANodeThatHasChanged(t *testing.T) {
	t.Parallel()
	for _, former := range []string{"native", "libp2p", "dual"} {
		for _, now := range []string{"native", "libp2p", "dual"} {
			t.Run(former+" to "+now, func(t *testing.T) {
				t.Parallel()
				dialer := newDialer(t)
				spec := loopbackSpec()
				spec.Info.NetAddress.Port = stacktest.FreePortAt(t, spec.Info.NetAddress.IP) // of both
				for _, kind := range []string{former, now} {
					remote, accepted := listen(t, kind, spec)
					addr := remote.NetAddress()
					p, err := dialer.Dial(timeout(t), addr, newBehavior())
					require.NoError(t, err, kind)
					require.NoError(t, p.Start())
					<-accepted
					require.NoError(t, p.Stop())
					require.NoError(t, remote.Close())
				}
			})
		}
	}
}

// A native node that closes the connection of a libp2p dialer before it has shown itself, as
// gno's does at random, is found by the same dial.
func TestDialFindsANativeNodeThatShowsNothing(t *testing.T) {
	t.Parallel()
	dialer := newDialer(t, dual.WithDial(dual.DialLibp2pFirst), dual.WithQuiet(patient))
	spec := loopbackSpec()
	spec.Info.NetAddress.Port = stacktest.FreePortAt(t, spec.Info.NetAddress.IP) // it is used again
	former, accepted := listen(t, "libp2p", spec)
	addr := former.NetAddress()
	p, err := dialer.Dial(timeout(t), addr, newBehavior())
	require.NoError(t, err)
	require.NoError(t, p.Start())
	<-accepted
	require.NoError(t, p.Stop())
	require.NoError(t, former.Close())
	require.Eventually(t, func() bool { return !dialer.Libp2p().IsConnectedTo(addr.ID) }, patient, time.Millisecond)

	spec.Info.NetAddress.Port = 0
	remote, accepted := listen(t, "native", spec)
	listener, err := net.Listen("tcp", addr.DialString())
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveSilently(listener, remote.NetAddress())
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	p, err = dialer.Dial(timeout(t), addr, newBehavior())
	require.NoError(t, err)
	require.NoError(t, p.Start())
	require.Equal(t, types.StackNative, <-accepted)
	require.NoError(t, p.Stop())
}

// serveSilently resets the first connection when the remote speaks, and relays the second
// one to the target.
func serveSilently(listener net.Listener, target types.NetAddress) {
	first, err := listener.Accept()
	if err != nil {
		return
	}
	_, _ = first.Read(make([]byte, 1))
	_ = first.(*net.TCPConn).SetLinger(0)
	_ = first.Close()
	if client, err := listener.Accept(); err == nil {
		(&tap{sent: make([]int, 1)}).pass(client, target, 0)
	}
}

// Something that speaks neither protocol is told by its own name.
func TestDialOfSomethingElse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("SSH-2.0-OpenSSH\r\n"))
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	dialer := newDialer(t)
	addr, err := types.NewNetAddress(types.GenerateNodeKey().ID(), listener.Addr())
	require.NoError(t, err)
	_, err = dialer.Dial(timeout(t), *addr, newBehavior())
	require.ErrorContains(t, err, "SSH")
	require.Equal(t, compat.DialForeign, compat.ClassifyDial(err))
}
