package pair

import (
	"encoding/binary"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
)

const (
	// The channels, and their priorities.
	chUrgent, priorityUrgent byte = 0x10, 10
	chBulk, priorityBulk     byte = 0x01, 1

	bulkSize   = 64 << 10 // bytes, as the parts of a block
	urgentSize = 128      // bytes
	voteSize   = 200      // bytes, as a vote of consensus
	headerSize = 17       // kind and two numbers
	maxMessage = 4 << 20  // RecvMessageCapacity

	urgentInterval = 20 * time.Millisecond
)

// channels returns the channels of the probe. Their queues are as in gno's consensus.
func channels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{
		{ID: chUrgent, Priority: int(priorityUrgent), SendQueueCapacity: 100, RecvMessageCapacity: maxMessage},
		{ID: chBulk, Priority: int(priorityBulk), SendQueueCapacity: 20, RecvMessageCapacity: maxMessage},
	}
}

// kind is the first byte of a message.
type kind byte

const (
	kindBulk   kind = iota + 1 // begin and end of the window in which it counts
	kindUrgent                 // when it was due; and 1 if it counts
	kindMark                   // its number; sent on both channels
	kindMarked                 // the answer to both marks with the number
)

// message returns a message with two numbers.
func message(k kind, a, b int64, size int) []byte {
	m := make([]byte, max(size, headerSize))
	m[0] = byte(k)
	binary.BigEndian.PutUint64(m[1:], uint64(a))
	binary.BigEndian.PutUint64(m[9:], uint64(b))

	return m
}

// parse returns the kind and the numbers of a message.
func parse(m []byte) (k kind, a, b int64) {
	if len(m) < headerSize {
		return 0, 0, 0
	}

	return kind(m[0]), int64(binary.BigEndian.Uint64(m[1:])), int64(binary.BigEndian.Uint64(m[9:]))
}
