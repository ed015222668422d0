package box

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inside reports whether the test may make boxes here; see netnstest.Inside.
func inside(t *testing.T) bool {
	t.Helper()
	if !netnstest.Inside(t) {
		return false
	}
	b, err := New(Config{Places: 1})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	require.NoError(t, b.Close())

	return true
}

// TestProof measures boxes with plain UDP and TCP. It asserts only what a slow machine does
// not change: nothing is faster than asked, and losses are those of the seed.
func TestProof(t *testing.T) {
	if !inside(t) {
		return
	}
	const count = 1000
	var proofs []Proof
	for _, c := range []Config{
		{Path: Even(Path{Delay: 10 * time.Millisecond}), Uplink: Everywhere(Mbit(20))},
		{Path: Even(Path{Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: .02}), Uplink: Everywhere(Mbit(100)), Congestion: "reno"},
		{Path: Even(Path{Delay: 50 * time.Millisecond, Loss: .02, Burst: 4}), Uplink: Everywhere(Mbit(100))},
		{Path: Even(Path{Delay: 10 * time.Millisecond, Reorder: .05, ReorderBy: 8 * time.Millisecond}), Uplink: Everywhere(Mbit(1000))},
	} {
		c.Seed = 1
		p := prove(t, c, count)
		proofs = append(proofs, p)

		require.GreaterOrEqual(t, p.RoundTrip[0], 2*p.Asked.Delay)
		require.Positive(t, p.Whole)
		require.Less(t, p.Whole, p.Uplink.Rate)
		require.Equal(t, returned(c, count), p.Returned)
		require.Equal(t, c.withDefaults().Congestion, p.Congestion)
		if p.Asked.Reorder > 0 {
			require.Positive(t, p.Overtaken)
		} else {
			require.Zero(t, p.Overtaken)
		}
	}
	require.NoError(t, WriteProofs(t.Output(), proofs))
}

// prove repeats a proof that misses packets beside those of the seed, for a while: a socket drops what
// does not fit while its reader is held up.
func prove(t *testing.T, c Config, count int) (p Proof) {
	t.Helper()
	for range 5 {
		var err error
		p, err = Prove(c, count, time.Millisecond, time.Second)
		require.NoError(t, err)
		if p.Returned >= returned(c, count) {
			break
		}
	}

	return p
}

// returned computes how many of so many packets survive both paths.
func returned(c Config, count int) int {
	there, back := newLine(c.Path(0, 1), c.Seed, 1), newLine(c.Path(1, 0), c.Seed, 1<<32)
	n := 0
	for range count {
		if _, ok := there.arrival(0); ok {
			if _, ok := back.arrival(0); ok {
				n++
			}
		}
	}

	return n
}

// TestSamePacketsAreLost sends the same packets through three boxes.
func TestSamePacketsAreLost(t *testing.T) {
	if !inside(t) {
		return
	}
	arrived := func(seed uint64) []uint64 {
		b, err := New(Config{Places: 2, Path: Even(Path{Loss: .1}), Seed: seed})
		require.NoError(t, err)
		defer func() { require.NoError(t, b.Close()) }()
		far, near, err := udpPair(b)
		require.NoError(t, err)
		defer func() { require.NoError(t, errors.Join(far.Close(), near.Close())) }()
		require.NoError(t, far.SetReadDeadline(time.Now().Add(time.Minute)))
		const count = 100 // fit into the receive buffer of a socket
		for i := range uint64(count) {
			_, err := near.Write(binary.BigEndian.AppendUint64(nil, i))
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return b.Traffic(0, 1).Packets == count }, time.Minute, time.Millisecond)
		var got []uint64
		buf := make([]byte, 8)
		for range count - b.Traffic(0, 1).Lost {
			_, err := far.Read(buf)
			require.NoError(t, err)
			got = append(got, binary.BigEndian.Uint64(buf))
		}

		return got
	}
	require.Equal(t, arrived(1), arrived(1))
	require.NotEqual(t, arrived(1), arrived(2))
}

func TestCutAndMove(t *testing.T) {
	if !inside(t) {
		return
	}
	b, err := New(Config{Places: 2}) // at the defaults
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	require.Equal(t, 2, b.Places())

	passes := func() bool {
		far, near, err := udpPair(b)
		require.NoError(t, err)
		defer func() { require.NoError(t, errors.Join(far.Close(), near.Close())) }()
		before := b.Total()
		_, err = near.Write([]byte("over there"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return b.Total().Packets > before.Packets }, time.Minute, time.Millisecond)
		if b.Total().Lost > before.Lost {
			return false
		}
		require.NoError(t, far.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = far.Read(make([]byte, 10))
		require.NoError(t, err)

		return true
	}
	require.True(t, passes())
	require.NoError(t, b.SetPath(0, 1, Path{Down: true}))
	require.True(t, b.Path(0, 1).Down)
	require.False(t, passes())
	require.NoError(t, b.SetPath(0, 1, Path{}))
	require.True(t, passes())

	moved := netip.MustParseAddr("10.200.0.1")
	require.NoError(t, b.Move(1, moved))
	require.Equal(t, moved, b.Place(1).Addr())
	require.True(t, passes())
	require.Error(t, b.SetPath(0, 1, Path{Loss: 2}))
}

func TestUnknownCongestionControl(t *testing.T) {
	if !inside(t) {
		return
	}
	_, err := New(Config{Places: 1, Congestion: "nonesuch"})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "cubic")
}

// TestNamespaces makes many namespaces, some of them from the main thread, which must survive
// it, and looks whether each has interfaces and ports of its own.
func TestNamespaces(t *testing.T) {
	if !inside(t) {
		return
	}
	link := func() (name string) {
		n, err := NewNamespace()
		require.NoError(t, err)
		defer n.Close()
		require.NoError(t, n.Do(func() (err error) {
			name, err = os.Readlink("/proc/thread-self/ns/net")

			return err
		}))
		require.NoError(t, n.IP("link set lo up"))
		require.Error(t, n.IP("link set nonesuch up"))
		require.NoError(t, n.Do(func() error {
			l, err := net.Listen("tcp", "127.0.0.1:26656") // free in every namespace
			if err != nil {
				return err
			}

			return l.Close()
		}))

		return name
	}
	outside, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	for range 20 {
		require.NotEqual(t, outside, link())
	}
}
