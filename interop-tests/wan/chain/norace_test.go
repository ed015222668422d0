//go:build !race

package chain

// raceBuild: see race_test.go.
const raceBuild = false
