package cluster

import "github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"

// ChildMain is the main function of a bridge or validator in a process of its own. A
// program that uses this package calls it first: it returns only in the parent. A
// child that leaves goroutines behind fails.
func ChildMain() {
	child.Main(map[string]child.Role{bridgeRole: leavingNothing(runBridge), remoteRole: leavingNothing(runRemote)})
}
