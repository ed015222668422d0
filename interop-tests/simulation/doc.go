// Package simulation runs networks of whole TM2 nodes on libp2p in one process and
// in virtual time: a switch, the libp2p transport and the DHT of each node are
// those of the module, with Noise, yamux and identify; only TCP is replaced, by
// package simnet, and the clock, by testing/synctest. One node is the seed, of the
// others each knows the seed's TM2 address and nothing else. It measures how long
// they take to fill their outbound slots, what that costs each of them, what an
// idle network costs, and how it gets over a part of its nodes leaving.
//
//	go test ./interop-tests/simulation -run TestSimulation -v -timeout 60m -nodes 50,100,200,500
//
// prints the tables of docs/simulation.md. Without -nodes it is a test with 50
// nodes. The seed, -seed, decides about keys, addresses, latencies, who leaves and
// when; what the nodes draw themselves (epochs, keys to look up, whom to dial), and
// the order in which goroutines run, differ from run to run.
//
// Computation takes no virtual time, and paths have latency but no limit on
// bandwidth.
package simulation
