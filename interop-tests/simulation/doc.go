// Package simulation runs networks of TM2 nodes in one process and in virtual time. Each node
// has the real switch, transport and discovery: on libp2p with Noise, yamux, identify and the
// DHT. Only TCP and the clock are replaced, by package simnet and testing/synctest. One node
// is the seed. The others know only the seed's TM2 address. The simulation of a libp2p network
// measures how long the nodes take to fill their outbound slots and at what cost, the cost of
// an idle network, and how the network recovers when some of its nodes leave.
//
//	go test ./interop-tests/simulation -run TestSimulation -v -timeout 60m -nodes 50,100,200,500
//
// prints the tables of docs/simulation.md. Without -nodes it is a test with 16 nodes. -seed
// determines keys, addresses, latencies, and which nodes leave and when. The random choices
// of the nodes (epochs, keys to look up, peers to dial) and the order in which goroutines run
// differ between runs.
//
// [Migrate] simulates networks whose nodes are native, dual or libp2p ones, in mixes that
// change while nodes leave and join:
//
//	go test ./interop-tests/simulation -run 'TestMigration$' -v -timeout 60m -migrators 200
//
// Computation takes no virtual time, and paths have latency but no limit on
// bandwidth.
package simulation
