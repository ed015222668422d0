package mconn

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/flow"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// modelChannel is a channel in the model of docs/wire.md §5.3.
type modelChannel struct {
	id       byte
	priority int
	messages []int // sizes in bytes
	sent     int64
}

// modelOrder returns the channel of each packet in the order of docs/wire.md §5.3,
// when no message is added and no time passes.
func modelOrder(channels []*modelChannel, maxPayload int) []byte {
	var order []byte

	for {
		var best *modelChannel

		for _, ch := range channels {
			if len(ch.messages) == 0 {
				continue
			}
			if best == nil || float32(ch.sent)/float32(ch.priority) < float32(best.sent)/float32(best.priority) {
				best = ch
			}
		}

		if best == nil {
			return order
		}

		size, last := best.messages[0], best.messages[0] <= maxPayload
		if last {
			best.messages = best.messages[1:]
		} else {
			size = maxPayload
			best.messages[0] -= size
		}

		best.sent += int64(len(piece(best.id, last, make([]byte, size))))
		order = append(order, best.id)
	}
}

// nodeChannels returns the channels of a real node in its order of registration.
func nodeChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{
		{ID: 0x30, Priority: 5, SendQueueCapacity: 1},
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000},
		{ID: 0x20, Priority: 5, SendQueueCapacity: 100},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100},
		{ID: 0x22, Priority: 5, SendQueueCapacity: 100},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2},
		{ID: 0x50, Priority: 1, SendQueueCapacity: 20},
	}
}

func TestOrderFollowsTheModel(t *testing.T) {
	t.Parallel()

	loads := map[byte][]int{
		0x30: {9000}, 0x40: {300_000, 70_000, 1024}, 0x20: {10, 20, 30, 2000}, 0x21: {65_536, 65_536},
		0x22: {100, 100, 100, 100, 100}, 0x23: {5000, 1}, 0x50: {1, 3000, 1025},
	}

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(1) // nothing can be written until the peer reads
		n := startNode(t, local, unlimited(), nodeChannels()...)
		p := peer{t, remote}

		// The first packet blocks the writer, so that all other messages are queued
		// before the scheduler chooses again.
		require.True(t, n.Send(0x50, []byte("first")))
		synctest.Wait()

		var model []*modelChannel
		for _, d := range nodeChannels() {
			ch := &modelChannel{id: d.ID, priority: d.Priority, messages: loads[d.ID]}
			if d.ID == 0x50 {
				ch.sent = int64(len(whole(0x50, "first")))
			}
			for _, size := range ch.messages {
				require.True(t, n.TrySend(d.ID, make([]byte, size)))
			}
			model = append(model, ch)
		}

		require.Equal(t, byte(0x50), p.packet().Channel)

		var got []byte
		want := modelOrder(model, 1024)
		for _, packet := range p.packets(len(want)) {
			got = append(got, packet.Channel)
		}
		require.Equal(t, want, got)

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

// TestUrgentOvertakesBulk bounds how long an urgent message waits behind bulk data.
func TestUrgentOvertakesBulk(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(1)
		n := startNode(t, local, unlimited(), desc(0x40, 1), desc(0x22, 100))
		p := peer{t, remote}

		require.True(t, n.Send(0x40, make([]byte, 1<<20)))
		synctest.Wait()
		require.True(t, n.Send(0x22, []byte("vote")))

		bytes := 0
		for packet := p.packet(); packet.Channel != 0x22; packet = p.packet() {
			bytes += len(packet.Payload)
		}
		require.LessOrEqual(t, bytes, maxBatch, "only the batch being written may come before")

		n.stop(t)
		require.NoError(t, remote.Close())
	})
}

// TestDecay checks recentlySent against numbers measured on real peers.
func TestDecay(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), []*compat.ChannelDescriptor{desc(0x40, 10)}, func(t *testing.T, n *node, _ peer) {
		require.True(t, n.Send(0x40, make([]byte, 100_000)))
		synctest.Wait()

		advance(time.Second) // look between the ticks
		for _, want := range []int64{101962, 81569, 65255, 52204, 41763} {
			require.Equal(t, want, n.Status().Channels[0].RecentlySent)
			advance(flow.DecayInterval)
		}

		// The next write applies the intervals that Status computed.
		before := n.Status().Channels[0].RecentlySent
		require.True(t, n.Send(0x40, []byte("x")))
		synctest.Wait()
		require.Equal(t, before+int64(wire.MsgSize(0x40, true, 1)), n.Status().Channels[0].RecentlySent)

		advance(time.Hour)
		require.Zero(t, n.Status().Channels[0].RecentlySent)
	})
}

func TestSchedulerTies(t *testing.T) {
	t.Parallel()

	channels, err := newChannels([]*compat.ChannelDescriptor{desc(3, 7), desc(1, 7), desc(2, 14)})
	require.NoError(t, err)

	s := scheduler{channels: channels}
	all := func(*channel) bool { return true }

	require.Equal(t, byte(3), s.next(all).desc.ID, "of equals the first registered")
	channels[0].recentlySent.Store(1)
	require.Equal(t, byte(1), s.next(all).desc.ID)
	channels[1].recentlySent.Store(1)
	channels[2].recentlySent.Store(2)
	require.Equal(t, byte(3), s.next(all).desc.ID, "the quotient counts")
	require.Nil(t, s.next(func(*channel) bool { return false }))

	// In 32 bits these two are equal.
	channels[0].recentlySent.Store(1<<24 + 1)
	channels[1].recentlySent.Store(1 << 24)
	channels[2].recentlySent.Store(1 << 60)
	require.Equal(t, byte(3), s.next(all).desc.ID)
}

// TestOrderWithinChannels sends from one goroutine per channel over TCP and checks
// that each channel's messages arrive complete and in order.
func TestOrderWithinChannels(t *testing.T) {
	t.Parallel()

	const messages = 300

	a, b := tcpPair(t)
	descs := []*compat.ChannelDescriptor{desc(1, 1), desc(2, 5), desc(3, 50)}
	sender := startNode(t, a, unlimited(), descs...)
	receiver := newNode(t, b, unlimited(), descs...)

	arrived := make(chan struct{}, 3*messages)
	receiver.during = func(byte, []byte) { arrived <- struct{}{} }
	require.NoError(t, receiver.Start())

	body := func(ch byte, i int) string {
		return strings.Repeat(string(rune('a'+i%26)), 1+(i*int(ch)*37)%5000)
	}

	for _, d := range descs {
		go func() {
			for i := range messages {
				if !sender.Send(d.ID, []byte(body(d.ID, i))) {
					return // the count below fails
				}
			}
		}()
	}

	for range 3 * messages {
		<-arrived
	}

	next := map[byte]int{}
	for _, msg := range receiver.messages() {
		require.Equal(t, body(msg.ch, next[msg.ch]), msg.data)
		next[msg.ch]++
	}

	sender.stop(t)
	receiver.stop(t)
	require.Empty(t, sender.errors())
}
