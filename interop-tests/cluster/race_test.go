//go:build race

package cluster

// raceBuild says that no node joins by block sync: when gno switches from that to
// consensus, it writes state that others read without a lock.
const raceBuild = true
