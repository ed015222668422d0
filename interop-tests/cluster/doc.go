// Package cluster runs a chain of real TM2 validators: gno v1.7.1's own reactors (consensus,
// mempool, block sync) and its key-value app, on the switch that a [Stack] makes. Its tests
// prove that nodes make blocks over the switches of this project as over gno's own:
//
//	go test -count=1 -run Cluster ./interop-tests/cluster
//	CLUSTER_FULL=1 go test -count=1 -timeout 30m -run Cluster ./interop-tests/cluster
//
// The first command is for every change, and runs the tests beside each other. The second
// runs 50 blocks, each fault for longer, and checks bounds on time. With -race no node joins
// a running chain: when gno changes from block sync to consensus, it writes state that other
// goroutines read without a lock.
//
// Command blocks, below cmd, measures how fast each stack makes blocks.
//
// A [Network] must be used by one goroutine at a time.
package cluster
