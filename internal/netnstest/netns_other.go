//go:build !linux

package netnstest

import "testing"

// Inside skips the test: this system has no network namespaces.
func Inside(t testing.TB) bool {
	t.Helper()
	t.Skip("no network namespaces on this system")

	return false
}

// SmallDisk skips the test, as Inside does.
func SmallDisk(t testing.TB, _ int) string {
	t.Helper()
	t.Skip("no mount namespaces on this system")

	return ""
}
