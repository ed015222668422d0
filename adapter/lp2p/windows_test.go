package lp2p

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// fastEthernet is the rate of a path in bytes a second.
const fastEthernet = 12_500_000

// muxers returns go-yamux as this package configures it, and with what it adds.
func muxers() (alone, ours network.Multiplexer) {
	muxer := newMuxer(DefaultTimeouts()).(meteredMuxer)

	return muxer.config, muxer
}

// ledger is what the receiving side of a yamux connection has granted.
type ledger struct {
	net.Conn
	network.NullScope
	updates atomic.Int64 // window updates written
	granted atomic.Int64 // bytes in them
	growths atomic.Int64 // of a window
	grown   atomic.Int64 // bytes by which windows have grown
}

// Write implements net.Conn.
func (l *ledger) Write(frame []byte) (int, error) {
	if frame[yamuxTypeAt] == yamuxWindowUpdate && binary.BigEndian.Uint16(frame[yamuxFlagsAt:]) == 0 {
		l.updates.Add(1)
		l.granted.Add(int64(binary.BigEndian.Uint32(frame[yamuxLengthAt:])))
	}

	return l.Conn.Write(frame)
}

// BeginSpan implements network.PeerScope.
func (l *ledger) BeginSpan() (network.ResourceScopeSpan, error) { return l, nil }

// ReserveMemory implements network.ResourceScope.
func (l *ledger) ReserveMemory(size int, prio uint8) error {
	if prio == network.ReservationPriorityAlways {
		return nil // the first window of a stream
	}
	l.growths.Add(1)
	l.grown.Add(int64(size))

	return nil
}

// transfer is a stream on which one side writes and the other one reads as fast as it can.
type transfer struct {
	stream network.MuxedStream // read from it
	ledger *ledger
}

// startTransfer runs until the test ends. It belongs in a bubble of testing/synctest.
func startTransfer(t *testing.T, path stacktest.Path, muxer network.Multiplexer) *transfer {
	near, far := path.Connect()
	ledger := &ledger{Conn: far}
	sender, err := muxer.NewConn(near, false, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = sender.Close() })
	receiver, err := muxer.NewConn(ledger, true, ledger)
	require.NoError(t, err)
	t.Cleanup(func() { _ = receiver.Close() })
	out, err := sender.OpenStream(t.Context())
	require.NoError(t, err)
	in, err := receiver.AcceptStream()
	require.NoError(t, err)
	go func() { // until the connection is closed; the bubble waits for it
		for data := make([]byte, batchSize); err == nil; {
			_, err = out.Write(data)
		}
	}()

	return &transfer{stream: in, ledger: ledger}
}

// lostCredit reads size bytes. It returns how much less the sender may then send than the
// receiver is ready to take.
func (tr *transfer) lostCredit(t *testing.T, size int) int64 {
	var read, unreported int64
	for buf := make([]byte, 32<<10); read < int64(size); {
		before := tr.ledger.updates.Load()
		n, err := tr.stream.Read(buf)
		require.NoError(t, err)
		read += int64(n)
		synctest.Wait() // until an update of the window is written
		if unreported += int64(n); tr.ledger.updates.Load() != before {
			unreported = 0
		}
	}
	ready := streamWindow + tr.ledger.grown.Load() - unreported

	return ready - (streamWindow + tr.ledger.granted.Load() - read)
}

// rate returns how many bytes a second arrive, after a time in which the window grows.
func (tr *transfer) rate(t *testing.T) float64 {
	buf := make([]byte, 32<<10)
	readFor := func(d time.Duration) (read int) {
		for begun := time.Now(); time.Since(begun) < d; {
			n, err := tr.stream.Read(buf)
			require.NoError(t, err)
			read += n
		}

		return read
	}
	readFor(3 * time.Second)
	begun := time.Now()

	return float64(readFor(2*time.Second)) / time.Since(begun).Seconds()
}

// A stream whose window grows has the credit that the receiver has reserved for it. Go-yamux
// loses about half of it. If the first part fails, go-yamux is mended, and windows is of no use
// any more.
func TestGrowingWindowLosesNoCredit(t *testing.T) {
	alone, ours := muxers()
	path := stacktest.Path{Delay: 50 * time.Millisecond, Rate: fastEthernet, Unsent: 64 << 10}
	const size = 48 << 20
	synctest.Test(t, func(t *testing.T) {
		tr := startTransfer(t, path, alone)
		lost := tr.lostCredit(t, size)
		t.Logf("go-yamux alone: a window of %d KiB lacks %d KiB", (streamWindow+tr.ledger.grown.Load())>>10, lost>>10)
		require.Greater(t, lost, tr.ledger.grown.Load()/3)
	})
	synctest.Test(t, func(t *testing.T) {
		tr := startTransfer(t, path, ours)
		lost := tr.lostCredit(t, size)
		t.Logf("with restored credit: a window of %d KiB lacks %d KiB", (streamWindow+tr.ledger.grown.Load())>>10, lost>>10)
		require.EqualValues(t, maxStreamWindow, streamWindow+tr.ledger.grown.Load())
		require.GreaterOrEqual(t, lost, int64(0), "the sender may send more than the receiver takes")
		require.Less(t, lost, tr.ledger.growths.Load()*maxRead)
	})
}

// A stream uses the whole rate of a path, however far the remote is.
func TestFarStreamUsesTheWholeRate(t *testing.T) {
	alone, ours := muxers()
	for _, ms := range []time.Duration{20, 50, 100, 200} {
		path := stacktest.Path{Delay: ms * time.Millisecond / 2, Rate: fastEthernet, Unsent: 64 << 10}
		var of [2]float64
		for i, muxer := range []network.Multiplexer{alone, ours} {
			synctest.Test(t, func(t *testing.T) { of[i] = startTransfer(t, path, muxer).rate(t) / fastEthernet })
		}
		t.Logf("round trip %d ms: go-yamux alone %.3f, with restored credit %.3f of the rate", ms, of[0], of[1])
		require.Greater(t, of[1], 0.95)
		require.Less(t, of[0], of[1])
	}
}

func TestWindows(t *testing.T) {
	w := newWindows()
	require.EqualValues(t, streamWindow, w.credit(1, streamWindow), "an unknown stream")
	w.begin(1)
	for _, c := range []struct {
		granted, credit uint32
		name            string
	}{
		{streamWindow / 2, streamWindow / 2, "what was read"},
		{streamWindow/2 + maxRead - 1, streamWindow/2 + maxRead - 1, "the most that may have been read"},
		{streamWindow, streamWindow * 3 / 2, "a growth that forgets what was read"},
		{streamWindow, streamWindow, "half of the window that has grown"},
		{3 * streamWindow, 3 * streamWindow, "a growth that forgets nothing"},
		{4 * streamWindow, 6 * streamWindow, "the next one"},
	} {
		require.Equal(t, c.credit, w.credit(1, c.granted), c.name)
	}
	w.end(1)
	require.EqualValues(t, 8*streamWindow, w.credit(1, 8*streamWindow), "a stream that has ended")
	require.Empty(t, w.size)
}

// A stream is known as long as it can be read, however it ends.
func TestWindowsForgetStreams(t *testing.T) {
	for name, end := range map[string]func(network.MuxedStream) error{
		"close": network.MuxedStream.Close, "close read": network.MuxedStream.CloseRead, "reset": network.MuxedStream.Reset,
		"reset with error": func(s network.MuxedStream) error { return s.ResetWithError(1) },
	} {
		synctest.Test(t, func(t *testing.T) {
			_, ours := muxers()
			tr := startTransfer(t, stacktest.Path{Rate: fastEthernet}, ours)
			known := tr.stream.(*meteredStream).below.windows
			require.Len(t, known.size, 1)
			require.NoError(t, end(tr.stream), name)
			require.Empty(t, known.size, name)
		})
	}
}
