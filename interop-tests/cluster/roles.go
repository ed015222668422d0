package cluster

import "github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"

// ChildMain runs the bridge or validator of a child process. A program that uses this
// package must call it first, or child.Main with [Roles]. It returns only in the parent.
func ChildMain() { child.Main(Roles()) }

// Roles returns the roles of the children of this package. They fail when they leave
// goroutines behind.
func Roles() map[string]child.Role {
	return map[string]child.Role{bridgeRole: leavingNothing(runBridge), remoteRole: leavingNothing(runRemote)}
}
