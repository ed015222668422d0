package secretconn

import "sync"

const (
	// batchFrames is the most frames in one Write to, or one Read from, the
	// underlying conn. It holds one and a half batches of mconn, and the sealed
	// frames stay in the processor's caches until they are copied. Measured: 16
	// frames cost a tenth more CPU time; 64 are no faster and vary more.
	batchFrames = 48

	// idleFrames is the size of a connection's own read buffer, in frames.
	idleFrames = 4
)

// batch holds the sealed frames of one system call.
type batch [batchFrames * sealedFrameSize]byte

// batches is shared by all connections and both directions. Its batches still hold
// the data of their last use.
var batches = sync.Pool{New: func() any { return new(batch) }}

func getBatch() *batch { return batches.Get().(*batch) }

func putBatch(b *batch) { batches.Put(b) }
