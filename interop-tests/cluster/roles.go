package cluster

import "github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"

// ChildMain runs the bridge or validator of a child process. A program that uses this
// package must call it first. It returns only in the parent. A child fails when it leaves
// goroutines behind.
func ChildMain() {
	child.Main(map[string]child.Role{bridgeRole: leavingNothing(runBridge), remoteRole: leavingNothing(runRemote)})
}
