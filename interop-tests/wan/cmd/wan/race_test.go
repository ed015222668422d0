//go:build race

package main

// raceBuild tells whether the race detector is on. Then no node joins: when gno changes from
// block sync to consensus, it writes state that other goroutines read without a lock.
const raceBuild = true
