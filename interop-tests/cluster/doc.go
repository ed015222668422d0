// Package cluster makes a chain of real TM2 validators: gno v1.7.1's own reactors
// (consensus, mempool, block sync) over its key-value app, each node on the switch
// that a [Stack] makes. Its tests are the proof that nodes make blocks over the
// switches of this project as they do over gno's own:
//
//	go test -count=1 -run Cluster ./interop-tests/cluster
//	CLUSTER_FULL=1 go test -count=1 -timeout 30m -run Cluster ./interop-tests/cluster
//
// The first is the size for each change, the second runs 50 blocks and each fault for
// as long as it takes to matter. With -race no node joins: gno's switch from block
// sync to consensus writes state that others read without a lock.
//
// Command blocks, below cmd, prints how fast each stack makes blocks.
//
// A [Network] is used by one goroutine.
package cluster
