package bridge

import (
	"slices"
	"sync/atomic"
	"time"
)

// meter counts one direction.
type meter struct{ messages, bytes atomic.Uint64 }

func (m *meter) traffic() Traffic {
	return Traffic{Messages: m.messages.Load(), Bytes: m.bytes.Load()}
}

// latencyBounds are the upper bounds of the buckets of LatencyCounts.
var latencyBounds = [...]time.Duration{
	20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 5 * time.Second, 10 * time.Second,
}

// ChannelCounts is what was relayed to one side on one channel.
type ChannelCounts struct {
	To      string `json:"to"` // InitiatorNative or InitiatorLibp2p
	Channel byte   `json:"channel"`
	Traffic
	// Dropped are messages that the far node did not take within compat.SendTimeout, and
	// whose pairs have ended.
	Dropped uint64 `json:"dropped"`
}

// LatencyCounts is a histogram of how long messages to one side took from their arrival at
// the bridge until the queue of the far node had taken them.
type LatencyCounts struct {
	To string `json:"to"`
	// Bounds are the upper bounds of the buckets in seconds. Counts are cumulative, and the
	// last one, beyond all bounds, counts all messages.
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"`
	Sum    float64   `json:"sum"` // seconds
}

// channelMeter counts one channel to one side.
type channelMeter struct {
	meter
	dropped atomic.Uint64
}

// sideMeter counts what was relayed to one side.
type sideMeter struct {
	channels [256]channelMeter
	buckets  [len(latencyBounds) + 1]atomic.Uint64
	nanos    atomic.Int64
}

// relayed counts a message that the far node's queue has taken after some time.
func (m *sideMeter) relayed(ch byte, size int, took time.Duration) {
	m.channels[ch].messages.Add(1)
	m.channels[ch].bytes.Add(uint64(size))
	bucket, _ := slices.BinarySearch(latencyBounds[:], took)
	m.buckets[bucket].Add(1)
	m.nanos.Add(int64(took))
}

// dropped counts a message that was not taken.
func (m *sideMeter) drop(ch byte) { m.channels[ch].dropped.Add(1) }

// counts returns the channels that were used, and the histogram.
func (m *sideMeter) counts(to string) (channels []ChannelCounts, latency LatencyCounts) {
	for ch := range m.channels {
		c := &m.channels[ch]
		if dropped := c.dropped.Load(); c.messages.Load() > 0 || dropped > 0 {
			channels = append(channels, ChannelCounts{To: to, Channel: byte(ch), Traffic: c.traffic(), Dropped: dropped})
		}
	}
	latency = LatencyCounts{To: to, Sum: time.Duration(m.nanos.Load()).Seconds()}
	total := uint64(0)
	for i := range m.buckets {
		total += m.buckets[i].Load()
		latency.Counts = append(latency.Counts, total)
		if i < len(latencyBounds) {
			latency.Bounds = append(latency.Bounds, latencyBounds[i].Seconds())
		}
	}

	return channels, latency
}
