package secretconn

import "sync"

const (
	// batchFrames is how many frames are sealed for one Write of the conn below
	// and how many at most are taken by one Read of it: a batch of mconn and a
	// half, and few enough that what was sealed is still in the processor's caches
	// when it is copied and opened. 16 cost a tenth more CPU time; 64 are no
	// faster and vary more.
	batchFrames = 48

	// idleFrames is how many frames the own read buffer of a connection holds.
	idleFrames = 4
)

// batch holds as many sealed frames as go in one system call.
type batch [batchFrames * sealedFrameSize]byte

// batches is shared by all connections and both directions. What it hands out
// has old content.
var batches = sync.Pool{New: func() any { return new(batch) }}

func getBatch() *batch { return batches.Get().(*batch) }

func putBatch(b *batch) { batches.Put(b) }
