package mconn

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func TestAssemblyDeadline(t *testing.T) {
	t.Parallel()

	descs := []*compat.ChannelDescriptor{desc(0x20, 1), desc(0x21, 1)}

	bubble(t, unlimited(), descs, func(t *testing.T, n *node, p peer) {
		start := time.Now()

		p.write(piece(0x20, false, []byte("a")))
		advance(29 * time.Second)
		p.write(piece(0x20, true, []byte("b"))) // in time
		advance(5 * time.Second)
		require.Equal(t, []message{{0x20, "ab"}}, n.messages())

		p.write(piece(0x21, false, nil)) // an empty piece starts a message too
		for range 29 {
			advance(time.Second)
			p.write(piece(0x21, false, []byte("dribble")), whole(0x20, "other channel"))
		}
		require.Empty(t, n.errors())

		<-n.Done()
		require.Equal(t, 64*time.Second, time.Since(start))
		isChannel(0x21, ErrAssemblyTimeout)(t, n.onlyError(t))
	})
}

// TestAssemblyDeadlinePerChannel checks that the earliest deadline of all channels
// applies.
func TestAssemblyDeadlinePerChannel(t *testing.T) {
	t.Parallel()

	descs := []*compat.ChannelDescriptor{desc(0x20, 1), desc(0x21, 1)}

	bubble(t, unlimited(), descs, func(t *testing.T, n *node, p peer) {
		start := time.Now()

		p.write(piece(0x21, false, []byte("a")))
		advance(10 * time.Second)
		p.write(piece(0x20, false, []byte("b")))
		advance(10 * time.Second)
		p.write(piece(0x21, true, []byte("c")), piece(0x21, false, []byte("d")))

		<-n.Done()
		require.Equal(t, 40*time.Second, time.Since(start))
		isChannel(0x20, ErrAssemblyTimeout)(t, n.onlyError(t))
	})
}

func TestAssemblyDeadlineDisabled(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.RecvAssemblyTimeout = 0
	config.PingInterval = 1000 * time.Hour

	bubble(t, config, oneChannel, func(t *testing.T, n *node, p peer) {
		p.write(piece(0x20, false, []byte("a")))
		advance(500 * time.Hour)
		p.write(piece(0x20, true, []byte("b")))
		advance(time.Second)
		require.Equal(t, []message{{0x20, "ab"}}, n.messages())
	})
}

// TestDeliveryExtendsAssemblyDeadline checks that a delivery of 50 ms or more
// extends the deadlines of unfinished messages.
func TestDeliveryExtendsAssemblyDeadline(t *testing.T) {
	t.Parallel()

	for _, test := range []struct{ busy, credit time.Duration }{
		{49 * time.Millisecond, 0}, {50 * time.Millisecond, 50 * time.Millisecond}, {40 * time.Second, 40 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			local, remote := newMemConn(plenty)
			n := newNode(t, local, unlimited(), desc(0x20, 1), desc(0x21, 1))
			n.during = func(byte, []byte) { <-time.After(test.busy) }
			require.NoError(t, n.Start())
			p := peer{t, remote}
			start := time.Now()

			p.write(piece(0x20, false, []byte("a")))
			advance(time.Second)
			p.write(whole(0x21, "slow"))
			<-n.Done()
			require.Equal(t, 30*time.Second+test.credit, time.Since(start))
			isChannel(0x20, ErrAssemblyTimeout)(t, n.onlyError(t))
			require.NoError(t, remote.Close())
		})
	}
}

// TestRecvBudget checks that a finished message frees its budget and that a
// message in one packet needs none.
func TestRecvBudget(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.MaxRecvBufferBytes = 1000

	descs := []*compat.ChannelDescriptor{desc(0x20, 1), desc(0x21, 1)}

	bubble(t, config, descs, func(t *testing.T, n *node, p peer) {
		for range 3 {
			p.write(piece(0x20, false, xs(600)), piece(0x21, false, xs(300)), piece(0x20, true, xs(100)))
			p.write(piece(0x21, true, xs(700)))
		}
		p.write(piece(0x20, false, xs(1000)), piece(0x21, true, xs(1024)))
		advance(time.Second)
		require.Empty(t, n.errors())
		require.Len(t, n.messages(), 7)

		p.write(piece(0x20, true, xs(1)))
		<-n.Done()
		isChannel(0x20, ErrRecvBudget)(t, n.onlyError(t))
	})
}

// TestDeliveredSliceIsBounded checks that appending to a delivered slice does not
// overwrite the next packet in the read buffer.
func TestDeliveredSliceIsBounded(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := newNode(t, local, unlimited(), oneChannel...)
		n.during = func(_ byte, msg []byte) { _ = append(msg, "garbage that must not be read as a packet"...) }
		require.NoError(t, n.Start())

		p := peer{t, remote}
		p.write(repeat(10, whole(0x20, "hi")))
		advance(time.Second)
		require.Len(t, n.messages(), 10)
		require.Empty(t, n.errors())
		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

// TestBuffersAreReturned checks that a connection keeps no buffer of a finished
// message, and a large read buffer for readBufferHold only.
func TestBuffersAreReturned(t *testing.T) {
	t.Parallel()

	now := time.Now()
	channels, err := newChannels(oneChannel)
	require.NoError(t, err)

	a := assembler{channels: channels}
	for range 100 {
		msg, _, err := a.add(channels[0], wire.Packet{Payload: make([]byte, 1000)})
		require.NoError(t, err)
		require.Nil(t, msg)
	}

	msg, buf, err := a.add(channels[0], wire.Packet{EOF: true, Payload: make([]byte, 1)})
	require.NoError(t, err)
	require.Len(t, msg, 100_001)
	require.Equal(t, assembly{}, channels[0].assembly)
	require.Zero(t, a.used)
	require.Zero(t, a.unfinished)
	buf.release()

	b := newReadBuffer(1056, now)
	for range 10 {
		size := len(b.space(noLimit))
		b.filled(size, size, now)
		b.consume(size)
	}
	require.Len(t, b.buf, maxReadBuffer)
	b.shrink(now.Add(readBufferHold - 1))
	require.Len(t, b.buf, maxReadBuffer)
	b.shrink(now.Add(readBufferHold))
	require.Len(t, b.buf, minReadBuffer)
}

// TestLargePackets checks a payload size above the default in both directions.
func TestLargePackets(t *testing.T) {
	t.Parallel()

	config := unlimited()
	config.MaxPacketMsgPayloadSize = maxPayloadSize

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		one := startNode(t, local, config, oneChannel...)
		two := startNode(t, remote, config, oneChannel...)

		for _, size := range []int{1, 70_000, maxPayloadSize, maxPayloadSize + 1, 3 * maxPayloadSize} {
			require.True(t, one.Send(0x20, xs(size)))
			synctest.Wait()
			got := two.messages()
			require.Equal(t, string(xs(size)), got[len(got)-1].data)
		}

		one.stop(t)
		<-two.Done()
		require.ErrorIs(t, two.onlyError(t), io.EOF)
	})
}
