package mconn

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// held returns the sizes of the buffers of an unfinished message.
func (as *assembly) held() (n int) {
	for b := as.first; b != nil; b = b.next {
		n += cap(b.data)
	}

	return n
}

// heldBy returns what all unfinished messages hold.
func heldBy(channels []*channel) (n int) {
	for _, ch := range channels {
		n += ch.assembly.held()
	}

	return n
}

func TestBufferSizes(t *testing.T) {
	t.Parallel()

	for size := 0; size < 40<<20; size += 1 + size/37 {
		b := newBuffer(size)
		require.GreaterOrEqual(t, cap(b.data), size)
		require.LessOrEqual(t, cap(b.data), max(4096, size+size/8+1))
		require.Equal(t, cap(b.data) <= 1<<20, b.pool != nil)
		b.release()
		require.Equal(t, cap(b.data), cap(newBuffer(cap(b.data)).data), "the pools keep sizes apart")
	}
}

// A message comes together from pieces of any size, and the buffers of an unfinished one
// are no more than an eighth larger than its payload, and 4 KiB.
func TestAssembly(t *testing.T) {
	t.Parallel()

	for _, step := range []int{1, 1000, 1024, 70_000, maxPayloadSize} {
		var as assembly
		want := xs(min(3000*step, 12<<20))
		for i := range want {
			want[i] = byte(i >> 3)
		}
		for rest := want; len(rest) > 0; {
			n := min(step, len(rest))
			as.add(rest[:n])
			rest = rest[n:]
			require.Equal(t, len(want)-len(rest), as.size)
			require.LessOrEqual(t, as.held(), as.size+as.size/8+4096)
		}
		whole := as.join()
		require.True(t, bytes.Equal(want, whole.data))
		require.LessOrEqual(t, cap(whole.data), max(4096, len(want)+len(want)/8+1))
		require.Zero(t, as.held())
		whole.release()
	}
}

// The smallest budget that the configuration of a node may have bounds what is held within
// 1.25 times, however the bytes are spread over channels, and can be used up.
func TestRecvBudgetBoundsWhatIsHeld(t *testing.T) {
	t.Parallel()

	const budget = 8<<20 + 64<<10
	for _, busy := range []int{1, 3, 16, 255} { // channels with large messages; the others have one byte
		descs := make([]*compat.ChannelDescriptor, 256)
		for i := range descs {
			descs[i] = &compat.ChannelDescriptor{ID: byte(i), Priority: 1, RecvBufferCapacity: 1 << 20, RecvMessageCapacity: budget}
		}
		channels, err := newChannels(descs)
		require.NoError(t, err)
		a := assembler{channels: channels, budget: budget}
		for _, ch := range channels[busy:] {
			_, _, err := a.add(ch, wire.Packet{Payload: xs(1)})
			require.NoError(t, err)
		}
		for i := 0; a.used < budget; i++ {
			_, _, err := a.add(channels[i%busy], wire.Packet{Payload: xs(min(1024, budget-a.used))})
			require.NoError(t, err)
			require.LessOrEqual(t, heldBy(channels[:busy])+(len(channels)-busy)*4096, budget+budget/4)
		}
		require.LessOrEqual(t, heldBy(channels), budget+budget/4)
		_, _, err = a.add(channels[0], wire.Packet{Payload: xs(1)})
		require.ErrorIs(t, err, ErrRecvBudget)

		// A message that is delivered is held once.
		whole, buf, err := a.add(channels[0], wire.Packet{EOF: true})
		require.NoError(t, err)
		require.LessOrEqual(t, cap(whole)+heldBy(channels), budget+budget/4)
		buf.release()
		for _, ch := range channels {
			ch.assembly.release()
		}
	}
}
