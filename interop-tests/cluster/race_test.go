//go:build race

package cluster

// raceBuild disables block sync in tests: when gno changes from block sync to consensus, it
// writes state that other goroutines read without a lock.
const raceBuild = true
