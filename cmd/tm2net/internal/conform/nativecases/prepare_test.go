package nativecases

import (
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/fakenode"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// judged starts a node, and returns it as a target.
func judged(t *testing.T, ip string, info wire.NodeInfo, serve func(*fakenode.Conn)) *conform.Target {
	t.Helper()
	node := fakenode.Start(t, ip, info, serve)
	target := conform.NewTarget(node.At, node.ID(), conform.TargetOptions{Rate: conform.MaxRate, Patience: time.Minute})
	target.Info = node.Info

	return target
}

// sameIP is an address at which a node sees all connections come from one IP.
func sameIP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 loopback")
	}
	require.NoError(t, listener.Close())

	return "::1"
}

// firstOnly lets in the first peer, and does something else with the others.
func firstOnly(others func(*fakenode.Conn)) func(*fakenode.Conn) {
	return func(c *fakenode.Conn) {
		if c.Number == 0 {
			c.Serve()
		} else {
			others(c)
		}
	}
}

// A node that ends a second connection from an IP lets in one peer of it.
func TestNodeThatLetsInOnePeerOfAnIP(t *testing.T) {
	target := judged(t, sameIP(t), fakenode.Info(0x20), firstOnly(func(*fakenode.Conn) {}))
	require.NoError(t, Prepare(t.Context(), target))
	require.True(t, target.OneConn)
}

// One that does something else, or sees other IPs, does not for that reason, and cannot be judged.
func TestNodeThatLetsInOnePeer(t *testing.T) {
	target := judged(t, sameIP(t), fakenode.Info(0x20), firstOnly(func(c *fakenode.Conn) {
		c.Send(make([]byte, 35)) // no ephemeral message
		c.Drain()
	}))
	require.ErrorIs(t, Prepare(t.Context(), target), conform.ErrNotHonest)
	require.False(t, target.OneConn)
	if runtime.GOOS != "linux" {
		return // all connections come from 127.0.0.1 there
	}
	target = judged(t, "127.0.0.1", fakenode.Info(0x20), firstOnly(func(*fakenode.Conn) {}))
	require.ErrorIs(t, Prepare(t.Context(), target), conform.ErrNotHonest)
	require.False(t, target.OneConn)
}

// What fails once does not decide which cases are played.
func TestNodeThatIsBusyForAMoment(t *testing.T) {
	var requests atomic.Int32
	target := judged(t, sameIP(t), fakenode.Info(0x20, discoveryChannel), func(c *fakenode.Conn) {
		if c.Number == 1 {
			return
		}
		for c.Greet(); c.Failure() == nil; {
			c.AwaitMessage(discoveryChannel)
			if c.Failure() == nil && requests.Add(1) == 1 {
				return
			}
			c.Message(wire.AppendMsg(nil, discoveryChannel, true, response(someone()+"@127.0.0.1:26656")))
		}
	})
	require.NoError(t, Prepare(t.Context(), target))
	require.False(t, target.OneConn)
	require.True(t, target.Answers)
	require.EqualValues(t, 2, requests.Load())
}

// A node that has the channel of discovery and answers nobody is judged for it.
func TestNodeThatAnswersNobody(t *testing.T) {
	target := judged(t, "127.0.0.1", fakenode.Info(0x20, discoveryChannel), func(c *fakenode.Conn) {
		c.Greet()
		c.AwaitMessage(discoveryChannel)
	})
	require.NoError(t, Prepare(t.Context(), target))
	require.False(t, target.Answers)
	cases := Suite().Cases
	answers := cases[slices.IndexFunc(cases, func(c conform.Case) bool { return c.ID() == "pex.answer" })]
	require.Equal(t, conform.Must, answers.Level)
	require.Empty(t, answers.Needs(target))
	seen, err := answers.Play(t.Context(), target)
	require.NoError(t, err)
	require.Equal(t, conform.Ends, seen.Outcome)

	target.OneConn = true
	require.NotEmpty(t, answers.Needs(target))
}
