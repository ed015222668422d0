//go:build !race

package simulation

// raceBuild: see race_test.go.
const raceBuild = false
